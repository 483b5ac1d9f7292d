import { ClipCapError } from "../runtime/errors.js";
import { dequantizeRows, f16ToF32, f32ToF16, quantizeRows, rowScales } from "./float.js";
import type { TensorSpec } from "./safetensors-header.js";
import {
  DTYPE_BYTES,
  isQuantized,
  Q8_METADATA,
  readTensorF32,
  scaleName,
  type TensorFile,
  type TensorInfo,
} from "./tensor-file.js";

/** How weights are stored; undefined elsewhere means: as they are. */
export type WeightType = "f32" | "f16" | "q8";
export const WEIGHT_TYPES: readonly WeightType[] = ["f32", "f16", "q8"];

/** Bytes of f32 that are in memory at a time. */
const PIECE_BYTES = 8 * 2 ** 20;

/** What a conversion did to the values. */
export interface Loss {
  /** Tensors whose type changed. */
  converted: number;
  /** Those of them that changed in value. */
  lossy: number;
  /** Largest absolute difference, and where. */
  maxError: number;
  worst: string | undefined;
}

export const noLoss = (): Loss => ({ converted: 0, lossy: 0, maxError: 0, worst: undefined });

/** A tensor of the new file; `bytes` yields pieces of at most 8 MiB. */
export interface RecodedTensor extends TensorSpec {
  bytes(): AsyncIterable<Uint8Array>;
}

/**
 * The tensors of `file` in another type. f32: all floats. f16: floats of rank 2 and more; biases and norms (under 1 % of
 * the bytes, added to every activation) keep their type. q8: the matrices that `isQuantizable` names, with their scales;
 * the rest keeps its type. Integers are carried over. `loss` is filled in while the bytes are produced.
 */
export function recode(file: TensorFile, to: WeightType | undefined, loss: Loss): RecodedTensor[] {
  const scales = new Set([...file.tensors.keys()].filter((name) => isQuantized(file, name)).map(scaleName));
  return [...file.tensors.values()].flatMap((info): RecodedTensor[] => {
    const quantized = isQuantized(file, info.name);
    const target = to && targetType(info, quantized, to);
    if (scales.has(info.name)) return to === undefined || to === "q8" ? [copied(file, info)] : [];
    if (target === undefined || target === (quantized ? "q8" : info.dtype)) return [copied(file, info)];
    return target === "q8" ? quantizedPair(file, info, loss) : [converted(file, info, target, loss)];
  });
}

/** Metadata of a file written by `recode`; "format": "pt" is what other readers ask for. */
export function recodedMetadata(tensors: readonly TensorSpec[]): Record<string, string> {
  return { format: "pt", ...(tensors.some((tensor) => tensor.dtype === "I8") ? Q8_METADATA : {}) };
}

/** Matrices of linear layers and token embeddings. Positions are added as they are and small, so they stay exact. */
function isQuantizable({ name, shape }: TensorInfo): boolean {
  return (
    shape.length === 2 &&
    shape[1]! > 0 &&
    name.endsWith(".weight") &&
    !/(^|\.)(wpe|position_embedding)\.weight$/.test(name)
  );
}

function targetType(info: TensorInfo, quantized: boolean, to: WeightType): "F32" | "F16" | "q8" | undefined {
  if (!quantized && !["F32", "F16", "BF16"].includes(info.dtype)) return undefined;
  if (to === "f32") return "F32";
  if (to === "f16") return info.shape.length >= 2 ? "F16" : undefined;
  return isQuantizable(info) ? "q8" : undefined;
}

function copied(file: TensorFile, { name, dtype, shape, byteLength }: TensorInfo): RecodedTensor {
  return {
    name,
    dtype,
    shape,
    async *bytes() {
      for (let at = 0; at < byteLength; at += PIECE_BYTES) {
        yield file.readBytes(name, at, Math.min(PIECE_BYTES, byteLength - at));
      }
    },
  };
}

/** The values in pieces of whole rows. */
async function* pieces(file: TensorFile, info: TensorInfo): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const [height] = info.shape;
  if (height === undefined) yield readTensorF32(file, info.name);
  else {
    const rowBytes = Math.max(1, (4 * info.byteLength) / DTYPE_BYTES[info.dtype] / Math.max(1, height));
    const step = Math.max(1, Math.floor(PIECE_BYTES / rowBytes));
    for (let row = 0; row < height; row += step) {
      yield file.readF32(info.name, { rows: [row, Math.min(height, row + step)] });
    }
  }
}

function converted(file: TensorFile, info: TensorInfo, dtype: "F32" | "F16", loss: Loss): RecodedTensor {
  const { name, shape } = info;
  return {
    name,
    dtype,
    shape,
    async *bytes() {
      let error = 0;
      for await (const values of pieces(file, info)) {
        const halves = dtype === "F16" ? f32ToF16(values) : undefined;
        if (halves) error = Math.max(error, largestDifference(name, values, f16ToF32(halves)));
        yield new Uint8Array((halves ?? values).buffer);
      }
      count(loss, name, error);
    },
  };
}

/** The int8 matrix and its scales; the file is read twice, since scales come first in the new file. */
function quantizedPair(file: TensorFile, info: TensorInfo, loss: Loss): RecodedTensor[] {
  const { name, shape } = info;
  const columns = shape[1]!;
  return [
    {
      name,
      dtype: "I8",
      shape,
      async *bytes() {
        let error = 0;
        for await (const values of pieces(file, info)) {
          const q = quantizeRows(values, values.length / columns, columns, name);
          error = Math.max(error, largestDifference(name, values, dequantizeRows(q.values, q.scales)));
          yield new Uint8Array(q.values.buffer);
        }
        count(loss, name, error);
      },
    },
    {
      name: scaleName(name),
      dtype: "F32",
      shape: [shape[0]!],
      async *bytes() {
        for await (const values of pieces(file, info)) {
          yield new Uint8Array(rowScales(name, values, columns).buffer);
        }
      },
    },
  ];
}

function count(loss: Loss, name: string, error: number): void {
  loss.converted++;
  if (error > 0) loss.lossy++;
  if (error > loss.maxError) {
    loss.maxError = error;
    loss.worst = name;
  }
}

/** @throws ClipCapError `bad-input` where a value does not fit into f16 (or was not finite before). */
function largestDifference(name: string, before: Float32Array, after: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < before.length; i++) {
    const difference = Math.abs(before[i]! - after[i]!);
    if (difference > largest) largest = difference;
    else if (!(difference <= largest)) {
      throw new ClipCapError("bad-input", `"${name}" holds ${before[i]}, which is not finite.`);
    }
  }
  if (largest === Number.POSITIVE_INFINITY) {
    throw new ClipCapError("bad-input", `"${name}" holds values above 65,504, the largest of f16; keep it in f32.`);
  }
  return largest;
}
