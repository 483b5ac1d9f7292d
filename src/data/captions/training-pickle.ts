// The original's training data, what its parse_coco.py writes: {"clip_embedding": tensor [N, width], "captions": [{image_id,
// id, caption, clip_embedding: row}]}, plain pickle. There is one row per caption, so images occur five times.
import { ClipCapError, shown } from "../../runtime/errors.js";
import { f16ToF32 } from "../../weights/float.js";
import { type PickleValue, readPickle } from "../../weights/pickle.js";
import { isPickledTensor, type PickledTensor, pickledTensorGlobals } from "../../weights/torch-pickled.js";
import { placesOfNumber } from "./coco.js";
import type { ProblemLog } from "./problems.js";
import type { CaptionRow } from "./rows.js";

/** COCO's 566,747 captions take 8 million instructions and 1.2 million objects; Conceptual Captions has 3.3 million. */
const LIMITS = { opcodes: 100_000_000, memo: 15_000_000 };

export interface TrainingPickle {
  readonly width: number;
  /** One row per caption, to be read once. */
  readonly rows: Iterable<CaptionRow>;
  /** Embeddings by the id of the image; filled while the rows are read. Each image's first counts. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
}

/**
 * Reads the pickle. Rows that cannot be used, such as those with NaN, are said in `problems`.
 * @throws ClipCapError `bad-input`
 */
export function readTrainingPickle(file: string, bytes: Uint8Array, problems: ProblemLog): TrainingPickle {
  const value = unpickle(file, bytes);
  const tensor = value instanceof Map ? value.get("clip_embedding") : undefined;
  const captions = value instanceof Map ? value.get("captions") : undefined;
  const usable = isPickledTensor(tensor) && tensor.shape.length === 2 && Object.hasOwn(READERS, tensor.dtype);
  if (!usable || !Array.isArray(captions)) {
    throw new ClipCapError(
      "bad-input",
      `${file} is not the original's training data: it needs "clip_embedding", an f16 or f32 tensor [N, width], and "captions".`,
    );
  }
  const vectors = new Map<string, Float32Array>();
  return { width: tensor.shape[1]!, rows: readRows({ tensor, vectors }, captions, problems), vectors };
}

function unpickle(file: string, bytes: Uint8Array): PickleValue {
  try {
    return readPickle(file, bytes, { globals: pickledTensorGlobals(file), persistent: () => null, limits: LIMITS });
  } catch (error) {
    if (!(error instanceof ClipCapError)) throw error;
    throw new ClipCapError("bad-input", error.message, { cause: error });
  }
}

interface Embeddings {
  readonly tensor: PickledTensor;
  readonly vectors: Map<string, Float32Array>;
}

function* readRows(from: Embeddings, captions: readonly PickleValue[], problems: ProblemLog): Generator<CaptionRow> {
  for (const [i, entry] of captions.entries()) {
    const where = `captions[${i}]`;
    const row = readRow(from, entry);
    if ("fault" in row) problems.add("row", where, row.fault);
    else yield { ...row, where };
  }
}

function readRow({ tensor, vectors }: Embeddings, entry: PickleValue): Omit<CaptionRow, "where"> | { fault: string } {
  if (!(entry instanceof Map)) return { fault: `${shown(entry)} is no dictionary` };
  const [number, caption, row] = ["image_id", "caption", "clip_embedding"].map((key) => entry.get(key));
  const [count] = tensor.shape;
  const image = placesOfNumber(number);
  if (!image) return { fault: `"image_id" must be a whole number, not ${shown(number)}` };
  if (typeof caption !== "string") return { fault: `"caption" must be a text, not ${shown(caption)}` };
  if (!Number.isInteger(row) || (row as number) < 0 || (row as number) >= count!) {
    return { fault: `"clip_embedding" must be a row from 0 to ${count! - 1}, not ${shown(row)}` };
  }
  if (!vectors.has(image.id)) {
    const embedding = readEmbedding(tensor, row as number);
    if (!embedding.every(Number.isFinite)) return { fault: `the embedding in row ${row} holds NaN or infinity` };
    vectors.set(image.id, embedding);
  }
  return { ...image, captions: [caption] };
}

const READERS: Readonly<Record<string, (bytes: Uint8Array<ArrayBuffer>) => Float32Array>> = {
  F16: (bytes) => f16ToF32(new Uint16Array(bytes.buffer)),
  F32: (bytes) => new Float32Array(bytes.buffer),
};

/** One row of the tensor; a copy, since the bytes in a pickle are not aligned. */
function readEmbedding({ dtype, shape, bytes }: PickledTensor, row: number): Float32Array {
  const size = bytes.length / shape[0]!;
  return READERS[dtype]!(Uint8Array.from(bytes.subarray(row * size, (row + 1) * size)));
}
