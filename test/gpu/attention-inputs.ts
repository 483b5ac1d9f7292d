import type { AttentionCase } from "../../src/kernels/attention/attention.cases.js";
import type { HeadsView } from "../../src/kernels/attention/attention.js";
import type { AttentionShape, HeadsData } from "../../src/kernels/attention/attention.ref.js";
import { dropoutMask } from "../../src/kernels/dropout/dropout.ref.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { values } from "./harness.js";

export interface Inputs {
  readonly q: HeadsData;
  readonly k: HeadsData;
  readonly v: HeadsData;
}

/** The three inputs as the case lays them out, and the matrices that hold them. */
export function inputs(c: AttentionCase): Inputs {
  const { batch: B, queries: Tq, keys: Tk, heads: H, headSize: D } = c;
  const C = H * D;
  const fill = (name: string, count: number) => values(`${c.name}/${name}`, count, c.amplitude ?? 1.7);
  const rows = (data: Float32Array, T: number, columns: number, offset: number): HeadsData => ({
    data,
    offset,
    row: columns,
    batch: T * columns,
    head: D,
  });
  if (c.layout === "packed") {
    const qkv = fill("qkv", B * Tq * 3 * C);
    return { q: rows(qkv, Tq, 3 * C, 0), k: rows(qkv, Tq, 3 * C, C), v: rows(qkv, Tq, 3 * C, 2 * C) };
  }
  if (c.layout === "split") {
    const kv = fill("kv", B * Tk * 2 * C);
    return { q: rows(fill("q", B * Tq * C), Tq, C, 0), k: rows(kv, Tk, 2 * C, 0), v: rows(kv, Tk, 2 * C, C) };
  }
  const heads = (name: string, T: number): HeadsData => {
    return { data: fill(name, B * H * T * D), offset: 0, row: D, batch: H * T * D, head: T * D };
  };
  return { q: heads("q", Tq), k: heads("k", Tk), v: heads("v", Tk) };
}

/** The case as the reference takes it: with the mask itself, not where it comes from. */
export function withMask({ dropout, ...c }: AttentionCase): AttentionShape {
  if (!dropout) return c;
  const { rate, seed, site } = dropout;
  const keep = dropoutMask(c.batch * c.heads * c.queries * c.keys, rate, seed, site);
  return { ...c, dropped: { rate, keep } };
}

/** Views of the tensors that `tensorOf` makes of the matrices, each made once. */
export function views(
  data: Inputs,
  tensorOf: (matrix: Float32Array) => Tensor,
): { q: HeadsView; k: HeadsView; v: HeadsView; tensors: Map<ArrayLike<number>, Tensor> } {
  const tensors = new Map<ArrayLike<number>, Tensor>();
  const view = (x: HeadsData): HeadsView => {
    const tensor = tensors.get(x.data) ?? tensorOf(x.data as Float32Array);
    tensors.set(x.data, tensor);
    return { ...x, tensor };
  };
  return { q: view(data.q), k: view(data.k), v: view(data.v), tensors };
}

/** The elements of a view, as [B, T, H, D]; T being that of the view. */
export function elementsOf(x: HeadsData, matrix: ArrayLike<number>, T: number, c: AttentionCase): Float64Array {
  const { batch: B, heads: H, headSize: D } = c;
  return Float64Array.from({ length: B * T * H * D }, (_, i) => {
    const [d, h, t, b] = [i % D, Math.floor(i / D) % H, Math.floor(i / (D * H)) % T, Math.floor(i / (D * H * T))];
    return matrix[x.offset + b * x.batch + t * x.row + h * x.head + d]!;
  });
}
