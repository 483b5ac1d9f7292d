import { ClipCapError } from "../runtime/errors.js";
import { MAPPER_HEADS, type MapperConfig } from "./config.js";
import { mapperShapes, type Shapes } from "./shapes.js";
import { scaleName, type TensorFile, type TensorInfo, tensorInfo } from "./tensor-file.js";

/** Rows of the output layer that are compared with the token embedding before it is taken for a copy. */
const TIED_ROWS = 8;

/**
 * A view of a file under the names that the models use: GPT-2 as in its Hugging Face file (`wte.weight`, `h.0.…`), CLIP as
 * there (`vision_model.…`), the mapper as in the original checkpoints (`clip_project.…`). Strips `module.`, `gpt.` and
 * `transformer.`, leaves out buffers of old versions (causal masks, position ids) and the output layer, which is tied to
 * `wte.weight`.
 * @throws ClipCapError `bad-weights` when two tensors get one name or the output layer is not tied.
 */
export async function canonicalNames(file: TensorFile): Promise<TensorFile> {
  const originals = new Map<string, string>();
  for (const info of file.tensors.values()) {
    const name = canonicalName(info.name);
    if (isBuffer(name, info)) continue;
    const other = originals.get(name);
    if (other !== undefined) {
      throw new ClipCapError("bad-weights", `${file.name}: "${other}" and "${info.name}" both mean "${name}".`);
    }
    originals.set(name, info.name);
  }
  const view = renamed(file, originals);
  const head = originals.get("lm_head.weight");
  if (head === undefined || !originals.has("wte.weight")) return view;
  await checkTied(file, head, originals.get("wte.weight")!);
  originals.delete("lm_head.weight");
  return renamed(file, originals);
}

/** "gpt.transformer.h.0.ln_1.weight" -> "h.0.ln_1.weight". */
export function canonicalName(name: string): string {
  return name.replace(/^module\./, "").replace(/^(gpt\.)?transformer\.|^gpt\./, "");
}

/** Values that the original code stored beside the weights and every model recomputes. */
function isBuffer(name: string, info: TensorInfo): boolean {
  const mask = /(^|\.)attn\.bias$/.test(name) && info.shape.length === 4;
  return mask || /(^|\.)attn\.masked_bias$/.test(name) || /(^|\.)position_ids$/.test(name);
}

/** The output layer must equal the token embedding: first and last row and some between. */
async function checkTied(file: TensorFile, head: string, embedding: string): Promise<void> {
  const [a, b] = [tensorInfo(file, head), tensorInfo(file, embedding)];
  const height = a.shape[0] ?? 0;
  let same = a.shape.join() === b.shape.join();
  for (let i = 0; same && i < Math.min(TIED_ROWS, height); i++) {
    const row = Math.floor((i * (height - 1)) / (TIED_ROWS - 1));
    const [x, y] = await Promise.all([head, embedding].map((name) => file.readF32(name, { rows: [row, row + 1] })));
    same = x!.every((value, k) => Object.is(value, y![k]));
  }
  if (same) return;
  throw new ClipCapError(
    "bad-weights",
    `${file.name}: the output layer "${head}" differs from the token embedding "${embedding}"; only tied ones are supported.`,
  );
}

/** The tensors of `originals` (new name -> name in the file). */
function renamed(file: TensorFile, originals: ReadonlyMap<string, string>): TensorFile {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, original] of originals) tensors.set(name, { ...tensorInfo(file, original), name });
  const view: TensorFile = {
    name: file.name,
    metadata: file.metadata,
    tensors,
    readBytes: async (name, start, length) => file.readBytes(original(name), start, length),
    readF32: async (name, options) => file.readF32(original(name), options),
  };
  const original = (name: string): string => {
    tensorInfo(view, name); // throws in the terms of the view
    return originals.get(name)!;
  };
  return view;
}

/** The tensors whose name fulfils `keep`. */
export function selectTensors(file: TensorFile, keep: (name: string) => boolean): TensorFile {
  return renamed(file, new Map([...file.tensors.keys()].filter(keep).map((name) => [name, name])));
}

/** The part of a ClipCap checkpoint that is the mapper, of canonical names. */
export const isMapperName = (name: string): boolean => name.startsWith("clip_project.");

/**
 * Checks that every tensor is there with its shape; others are ignored.
 * @throws ClipCapError `bad-weights` naming the first fault.
 */
export function requireShapes(file: TensorFile, shapes: Shapes): void {
  for (const [name, shape] of shapes) {
    const found = tensorInfo(file, name).shape;
    if (found.join() === shape.join() && found.length === shape.length) continue;
    throw new ClipCapError(
      "bad-weights",
      `${file.name}: "${name}" has shape [${found}], but the configuration needs [${shape}].`,
    );
  }
}

/** A configuration of fewer layers than were trained gives captions too, but bad ones. */
export function refuseOtherLayers(file: TensorFile, shapes: Shapes): void {
  const anyLayer = (name: string) => name.replace(/\d+/, "N");
  const known = new Set([...shapes.keys()].map(anyLayer));
  for (const name of file.tensors.keys()) {
    if (shapes.has(name) || !known.has(anyLayer(name))) continue;
    throw new ClipCapError(
      "bad-weights",
      `${file.name}: "${name}" is of a layer that the configuration does not have.`,
    );
  }
}

/**
 * Recognises the mapper of a checkpoint from its shapes (docs/facts.md 4) and checks all of them.
 * @param gptWidth channels of GPT-2; found by itself where the file holds `wte.weight` or a transformer mapper
 * @throws ClipCapError `bad-weights` where there is no mapper, or none of the two kinds.
 */
export function describeMapper(file: TensorFile, gptWidth = file.tensors.get("wte.weight")?.shape[1]): MapperConfig {
  const mapper = mapperConfig(file, gptWidth);
  const expected = mapperShapes(mapper);
  requireShapes(file, expected);
  for (const name of file.tensors.keys()) {
    if (isMapperName(name) && !expected.has(name) && !isScale(file, name)) {
      throw new ClipCapError("bad-weights", `${file.name}: "${name}" belongs to no known mapper.`);
    }
  }
  return mapper;
}

const isScale = (file: TensorFile, name: string): boolean =>
  name.endsWith(scaleName("")) && file.tensors.has(name.slice(0, -scaleName("").length));

function mapperConfig(file: TensorFile, gptWidth: number | undefined): MapperConfig {
  const size = (name: string, axis: number) => tensorInfo(file, `clip_project.${name}`).shape[axis] ?? 0;
  if (file.tensors.has("clip_project.prefix_const")) {
    const width = size("prefix_const", 1);
    const layers = [...file.tensors.keys()].filter((name) =>
      /^clip_project\.transformer\.layers\.\d+\.norm1\.weight$/.test(name),
    ).length;
    return {
      type: "transformer",
      prefixLength: size("prefix_const", 0),
      clipLength: whole(file, "clip_project.linear.weight", size("linear.weight", 0), width),
      clipWidth: size("linear.weight", 1),
      gptWidth: width,
      layers,
      heads: MAPPER_HEADS,
    };
  }
  if (file.tensors.has("clip_project.model.0.weight") && file.tensors.has("clip_project.model.2.weight")) {
    if (gptWidth === undefined) {
      throw new ClipCapError("bad-input", `${file.name}: the width of GPT-2 is needed to tell its prefix length.`);
    }
    const prefixLength = whole(file, "clip_project.model.2.weight", size("model.2.weight", 0), gptWidth);
    return { type: "mlp", prefixLength, clipWidth: size("model.0.weight", 1), gptWidth };
  }
  const single = file.tensors.has("clip_project.weight");
  throw new ClipCapError(
    "bad-weights",
    single
      ? `${file.name}: its mapper is a single linear layer; only the MLP of two layers and the transformer are supported.`
      : `${file.name} holds no mapper (no tensors named clip_project.model.… or clip_project.prefix_const).`,
  );
}

function whole(file: TensorFile, name: string, rows: number, width: number): number {
  if (width > 0 && rows > 0 && rows % width === 0) return rows / width;
  throw new ClipCapError(
    "bad-weights",
    `${file.name}: "${name}" has ${rows} rows, which is no multiple of GPT-2's width ${width}; the mapper belongs to another GPT-2.`,
  );
}
