// Weights from a formula instead of a file: full-size models can be tested without downloading anything. The formula and
// the table of standard deviations are those of the reference goldens (test/goldens, "tensor_checks" in full.json).
import { lowbias32 } from "../data/random.js";
import { ClipCapError } from "../runtime/errors.js";
import type { Shapes } from "./shapes.js";
import {
  checkTensorRange,
  elementCount,
  rowRange,
  type TensorFile,
  type TensorInfo,
  tensorInfo,
} from "./tensor-file.js";

/** "tiny" models take larger values, so that two layers of width 64 still do something. */
export type SyntheticSize = "full" | "tiny";

const GOLDEN = 0x9e3779b1;

/** FNV-1a of the UTF-8 bytes. */
function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

/** uint32 hash of (name, index, seed); h0 = fnv1a32(name) ^ seed * GOLDEN. */
function hash32(index: number, h0: number): number {
  return lowbias32(Math.imul(index, GOLDEN) + h0);
}

/** `count` values from flat index `first` on: uniform, mean `offset`, standard deviation `std`; f64, then rounded to f32. */
export function syntheticValues(name: string, first: number, count: number, seed: number, std: number, offset = 0) {
  const h0 = fnv1a32(name) ^ Math.imul(seed, GOLDEN);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const u = (2 * hash32(first + i, h0)) / 4294967296 - 1;
    out[i] = offset + u * Math.sqrt(3) * std; // adding an offset of 0 changes at most -0 to 0
  }
  return out;
}

/** A whole tensor of the formula, row-major f32. */
export function syntheticTensor(name: string, shape: readonly number[], seed: number, std: number, offset = 0) {
  return syntheticValues(name, 0, countOf(name, shape), seed, std, offset);
}

/** Integers in [low, high) by the same hash. */
export function syntheticInts(name: string, shape: readonly number[], low: number, high: number, seed: number) {
  const h0 = fnv1a32(name) ^ Math.imul(seed, GOLDEN);
  return Int32Array.from({ length: countOf(name, shape) }, (_, i) => low + (hash32(i, h0) % (high - low)));
}

function countOf(name: string, shape: readonly number[]): number {
  const count = elementCount(shape);
  if (count === undefined) throw new ClipCapError("bad-input", `"${name}" has the impossible shape [${shape}].`);
  return count;
}

const NORM_MARKS = ["ln_", "norm"];
const QK_ENDS = ["c_attn", "q_proj", "k_proj", "v_proj", "to_queries", "to_keys_values"].map(
  (part) => `${part}.weight`,
);

/** Standard deviation and offset of a tensor; the first rule that fits its name wins. */
export function valueRule(name: string, size: SyntheticSize): { readonly std: number; readonly offset: number } {
  const parts = name.split(".");
  const owner = parts.length > 1 ? parts.at(-2)! : name;
  const ends = (end: string) => name.endsWith(end);
  if (name === "logit_scale") return { std: 0, offset: 2.6592 };
  if (ends("weight") && NORM_MARKS.some((mark) => owner.includes(mark))) return { std: 0.1, offset: 1 };
  if (ends("prefix_const")) return { std: 1, offset: 0 };
  const tiny = size === "tiny";
  if (ends("bias")) return { std: tiny ? 0.05 : 0.01, offset: 0 };
  if (ends("wte.weight")) return { std: tiny ? 0.3 : 0.05, offset: 0 };
  if (QK_ENDS.some(ends)) return { std: tiny ? 0.3 : 0.04, offset: 0 };
  return { std: tiny ? 0.12 : 0.02, offset: 0 };
}

/** A TensorFile whose F32 tensors are computed when they are read, in whole or by range. */
export function syntheticFile(shapes: Shapes, size: SyntheticSize, seed: number): TensorFile {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shape] of shapes) {
    tensors.set(name, { name, dtype: "F32", shape, byteOffset: 0, byteLength: 4 * countOf(name, shape) });
  }
  const file: TensorFile = {
    name: `synthetic weights (${size}, seed ${seed})`,
    metadata: {},
    tensors,
    async readBytes(name, byteStart = 0, byteLength) {
      const info = tensorInfo(file, name);
      const length = checkTensorRange(info, byteStart, byteLength);
      const first = Math.floor(byteStart / 4);
      const { std, offset } = valueRule(name, size);
      const values = syntheticValues(name, first, Math.ceil((byteStart + length) / 4) - first, seed, std, offset);
      return new Uint8Array(values.buffer).slice(byteStart - 4 * first, byteStart - 4 * first + length);
    },
    async readF32(name, options = {}) {
      const { first, count } = rowRange(tensorInfo(file, name), options.rows);
      const { std, offset } = valueRule(name, size);
      return syntheticValues(name, first, count, seed, std, offset);
    },
  };
  return file;
}
