import type { Device } from "../../runtime/device.js";
import { ClipCapError } from "../../runtime/errors.js";
import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Gradients } from "../../runtime/tape.js";
import type { Tensor } from "../../runtime/tensor.js";
import { type Contribution, contribute } from "../contribution.js";
import { type Dropout, dropoutUniforms } from "../dropout/dropout.js";
import { elementGrid, VECTOR_TYPE, type Vector } from "../grid.js";
import { lanesKernel, MAX_HEAD_SIZE, tileKernel } from "./attention.wgsl.js";
import { deltaKernel, type GradientOf, lanesBackwardKernel, tileBackwardKernel } from "./backward.wgsl.js";
import { cachedGroupKernel, cachedLanesKernel, storeKvKernel } from "./cache.wgsl.js";

/**
 * Where the heads of one of q, k, v lie: element (b, t, h, d) at offset + b*batch + t*row + h*head + d of `tensor`.
 * Where D is a multiple of 4 the others should be too, or loads are scalar.
 */
export interface HeadsView {
  readonly tensor: Tensor;
  readonly offset: number;
  readonly row: number;
  readonly batch: number;
  readonly head: number;
}

export interface AttentionOptions {
  /** B sequences of Tq queries and Tk keys, H heads of size D. */
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly headSize: number;
  /** Query i sees the keys j <= i + Tk - Tq. */
  readonly causal: boolean;
  /** u32 [B]: sequence b sees the keys j < keyLengths[b]. */
  readonly keyLengths?: Tensor;
  /** Of the probabilities, after the softmax: element (b, h, i, j) of [B, H, Tq, Tk]. A rate of 0 is no dropout. */
  readonly dropout?: Dropout;
  readonly label: string;
  readonly variant?: AttentionVariant;
}

const GRADIENTS = ["q", "k", "v"] as const;

export type AttentionVariant = "lanes" | "tile";

/** q, k and v of one packed matrix [B*T, 3C], the rows being q|k|v and each of them H heads of C/H. */
export function packedQkv(qkv: Tensor, B: number, T: number, H: number): [q: HeadsView, k: HeadsView, v: HeadsView] {
  const C = qkv.size / (B * T * 3);
  const part = (i: number) => ({ tensor: qkv, offset: i * C, row: 3 * C, batch: T * 3 * C, head: C / H });
  return [part(0), part(1), part(2)];
}

/** The kernel for heads of size D on this device; `aligned`: D and all offsets and strides are multiples of 4. */
export function chooseVariant(aligned: boolean, device: Pick<Device, "lanes">): AttentionVariant {
  return aligned && device.lanes > 0 ? "lanes" : "tile";
}

/**
 * Softmax attention, out [B*Tq, H*D] = softmax(q k^T / sqrt(D)) v per head, without storing the scores: the softmax is
 * rescaled as larger scores appear. A query that sees no key gives zeros. Where a gradient is wanted, the forward also
 * keeps the log-sum-exp of each query's scores, [B*Tq, H].
 * @throws ClipCapError `bad-input` when D exceeds 240, a view reaches beyond its tensor, or the views of a tensor that
 * needs a gradient leave out some of it.
 */
export function attention(p: Program, q: HeadsView, k: HeadsView, v: HeadsView, o: AttentionOptions): Tensor {
  const { batch: B, queries: Tq, keys: Tk, heads: H, headSize: D } = o;
  checkHeadSize(D, o.label);
  checkView("q", q, Tq, o);
  checkView("k", k, Tk, o);
  checkView("v", v, Tk, o);
  const inputs = [q.tensor, k.tensor, v.tensor];
  const keepsLse = inputs.some((t) => t.requiresGrad);
  if (keepsLse) checkCovered([q, k, v], o);
  const aligned = [D, ...[q, k, v].flatMap((x) => [x.offset, x.row, x.batch, x.head])].every((n) => n % 4 === 0);
  const width = aligned ? 4 : 1;
  const variant = o.variant ?? chooseVariant(aligned, p.device);
  const drop = o.dropout && dropoutUniforms(o.dropout, o.label);
  const traits = { keepsLse, drops: drop !== undefined };
  const kernel =
    variant === "lanes" ? lanesKernel(D, p.device.lanes, traits) : tileKernel(D, VECTOR_TYPE[width], traits);
  const out = p.transient(o.label, [B * Tq, H * D]);
  const lse = keepsLse ? p.transient(`${o.label}.lse`, [B * Tq, H]) : undefined;
  p.dispatch({
    kernel,
    label: o.label,
    tensors: { q: q.tensor, k: k.tensor, v: v.tensor, lengths: lengthsOf(p, o), out, ...(lse && { lse }) },
    uniforms: {
      ...sizes(o, width),
      ...strides("q", q, width),
      ...strides("k", k, width),
      ...strides("v", v, width),
      ...drop,
    },
    workgroups: grid(Tq, variant, p.device, o),
    flops: 4 * B * H * visiblePairs(o) * D,
  });
  p.differentiate(out, inputs, (dout, gradients) => {
    backward(p, { q, k, v, out, lse: lse!, dout }, { ...o, variant, width, drop }, gradients);
  });
  return out;
}

interface ChosenOptions extends AttentionOptions {
  readonly variant: AttentionVariant;
  readonly width: Vector;
  readonly drop: ReturnType<typeof dropoutUniforms>;
}

interface Differentiated {
  readonly q: HeadsView;
  readonly k: HeadsView;
  readonly v: HeadsView;
  readonly out: Tensor;
  readonly lse: Tensor;
  readonly dout: Tensor;
}

/** The gradients of those of q, k and v that need one. Views of one tensor have one gradient, a part each. */
function backward(p: Program, x: Differentiated, o: ChosenOptions, gradients: Gradients): void {
  const { batch: B, queries: Tq, heads: H, headSize: D, width } = o;
  const label = `d ${o.label}`;
  const rows = p.transient(`${label}.rows`, [B * Tq, H, 2]);
  p.dispatch({
    kernel: deltaKernel(width),
    label,
    tensors: { out: x.out, dout: x.dout, lse: x.lse, rows },
    uniforms: { count: B * Tq * H, N: D / width },
    workgroups: elementGrid(B * Tq * H, p.device),
    flops: 2 * B * Tq * H * D,
  });
  const views = GRADIENTS.map((of) => ({ of, tensor: x[of].tensor }));
  const tensors = new Map(views.map(({ tensor }) => [tensor.storage, tensor]));
  for (const [storage, tensor] of tensors) {
    contribute(p, gradients, tensor, label, (to) => {
      for (const { of } of views.filter((view) => view.tensor.storage === storage)) {
        viewBackward(p, of, x, rows, o, to);
      }
    });
  }
}

/** One of dq, dk and dv, where its view lies in the gradient of its tensor. */
function viewBackward(
  p: Program,
  of: GradientOf,
  x: Differentiated,
  rows: Tensor,
  o: ChosenOptions,
  to: Contribution,
): void {
  const { batch: B, queries: Tq, keys: Tk, heads: H, headSize: D, variant, width, drop } = o;
  const drops = drop !== undefined;
  const dout: HeadsView = { tensor: x.dout, offset: 0, row: H * D, batch: Tq * H * D, head: D };
  const query = { scores: x.q, values: dout };
  const key = { scores: x.k, values: x.v };
  const [own, other] = of === "q" ? [query, key] : [key, query];
  p.dispatch({
    kernel:
      variant === "lanes" ? lanesBackwardKernel(of, D, p.device.lanes, drops) : tileBackwardKernel(of, D, width, drops),
    label: `d ${o.label}.${of}`,
    tensors: {
      own: own.scores.tensor,
      ownValue: own.values.tensor,
      other: other.scores.tensor,
      otherValue: other.values.tensor,
      rows,
      lengths: lengthsOf(p, o),
      ...to.tensors,
    },
    uniforms: {
      ...sizes(o, width),
      ...strides("own", own.scores, width),
      ...strides("ownValue", own.values, width),
      ...strides("other", other.scores, width),
      ...strides("otherValue", other.values, width),
      ...drop,
      ...to.uniforms,
    },
    workgroups: grid(of === "q" ? Tq : Tk, variant, p.device, o),
    flops: (of === "v" ? 4 : 6) * B * H * visiblePairs(o) * D,
  });
}

/** Pairs of a query and a key that it sees, without `keyLengths`. */
function visiblePairs({
  queries: Tq,
  keys: Tk,
  causal,
}: Pick<AttentionOptions, "queries" | "keys" | "causal">): number {
  const seeing = Math.min(Tq, Tk); // the last of them sees all keys, each before it one less
  return causal ? seeing * Tk - (seeing * (seeing - 1)) / 2 : Tq * Tk;
}

/** Without lengths the kernels read none, but a binding needs a buffer. */
function lengthsOf(p: Program, { keyLengths }: AttentionOptions): Tensor {
  return keyLengths ?? p.device.empty;
}

function sizes(o: AttentionOptions, width: Vector): Record<string, number> {
  return {
    queries: o.queries,
    keys: o.keys,
    heads: o.heads,
    causal: o.causal ? 1 : 0,
    hasLengths: o.keyLengths ? 1 : 0,
    elements: o.headSize / width,
  };
}

/** A workgroup takes some rows (queries, or keys for their gradients) of one head. */
function grid(rows: number, variant: AttentionVariant, device: Device, o: AttentionOptions): [number, number, number] {
  return [Math.ceil(rows / (variant === "lanes" ? device.lanes : 16)), o.heads, o.batch];
}

function strides(name: string, x: HeadsView, width: number): Record<string, number> {
  return {
    [`${name}Offset`]: x.offset / width,
    [`${name}Batch`]: x.batch / width,
    [`${name}Row`]: x.row / width,
    [`${name}Head`]: x.head / width,
  };
}

function checkHeadSize(D: number, label: string): void {
  if (D >= 1 && D <= MAX_HEAD_SIZE) return;
  throw new ClipCapError(
    "bad-input",
    `${label}: heads of size ${D}; this kernel takes 1 to ${MAX_HEAD_SIZE}, use more heads for the same width`,
  );
}

function checkView(name: string, x: HeadsView, T: number, o: AttentionOptions): void {
  const last = x.offset + (o.batch - 1) * x.batch + (T - 1) * x.row + (o.heads - 1) * x.head + o.headSize;
  if (last <= x.tensor.size) return;
  throw new ClipCapError(
    "bad-input",
    `${o.label}: ${name} reaches element ${last} of ${x.tensor.label}, which has ${x.tensor.size}; check its strides`,
  );
}

/** A gradient has a value for every element, so the views that read a tensor must read all of it, once. */
function checkCovered(views: readonly HeadsView[], o: AttentionOptions): void {
  for (const { tensor } of views.filter((x) => x.tensor.requiresGrad)) {
    const T = [o.queries, o.keys, o.keys];
    const taken = views.map((x, i) =>
      x.tensor.storage === tensor.storage ? T[i]! * o.batch * o.heads * o.headSize : 0,
    );
    const total = taken.reduce((a, b) => a + b, 0);
    if (total === tensor.size) continue;
    throw new ClipCapError(
      "bad-input",
      `${o.label}: q, k and v take ${total} elements of ${tensor.label}, which has ${tensor.size}; a gradient needs ` +
        "views that take each element once",
    );
  }
}

/** One layer's keys and values: persistent tensors [rows, capacity, C]. */
export interface KvCache {
  readonly k: Tensor;
  readonly v: Tensor;
  readonly rows: number;
  readonly capacity: number;
}

export interface StoreKvOptions {
  /** B sequences of T new tokens, C = H*D. */
  readonly batch: number;
  readonly tokens: number;
  readonly width: number;
  /** Sequence b goes to cache row b*rowStride. */
  readonly rowStride: number;
  /** Position of the first new token. Tokens beyond the capacity are not stored. */
  readonly start: number | Scalar;
  readonly label: string;
}

/**
 * Copies k and v of packed qkv [B*T, 3C] into the cache.
 * @throws ClipCapError `bad-input` when the cache has too few rows.
 */
export function storeKv(p: Program, qkv: Tensor, cache: KvCache, o: StoreKvOptions): void {
  const rows = (o.batch - 1) * o.rowStride + 1;
  if (rows > cache.rows) {
    throw new ClipCapError("bad-input", `${o.label}: ${rows} rows asked of a cache of ${cache.rows}; make it larger`);
  }
  const width = o.width % 4 === 0 ? 4 : 1;
  const C = o.width / width;
  p.dispatch({
    kernel: storeKvKernel(width === 4 ? "vec4f" : "f32"),
    label: o.label,
    tensors: { qkv, k: cache.k, v: cache.v },
    uniforms: { C, T: o.tokens, start: o.start, capacity: cache.capacity, rowStride: o.rowStride },
    workgroups: [Math.ceil(C / 64), o.tokens, o.batch],
  });
}

export interface CachedAttentionOptions {
  /** R rows of T new tokens each (default 1). */
  readonly rows: number;
  readonly tokens?: number;
  readonly heads: number;
  readonly headSize: number;
  /** Valid positions, the T tokens just stored included; at most the cache's capacity. */
  readonly keys: number | Scalar;
  readonly label: string;
  readonly variant?: CachedVariant;
}

export type CachedVariant = "lanes" | "group";

/**
 * New tokens against the cache: token t of row r takes its q from packed qkv [R*T, 3C] and sees the positions
 * j <= keys - T + t. Position j of row r is read from cache row ancestry[r*capacity + j] (u32 [R, capacity]), so beams
 * share a prefix and are reordered by rewriting indices. Returns [R*T, C].
 */
export function cachedAttention(
  p: Program,
  qkv: Tensor,
  cache: KvCache,
  ancestry: Tensor,
  o: CachedAttentionOptions,
): Tensor {
  const { rows: R, tokens: T = 1, heads: H, headSize: D } = o;
  checkHeadSize(D, o.label);
  const aligned = D % 4 === 0;
  const variant = o.variant ?? (aligned && p.device.lanes > 0 ? "lanes" : "group");
  const out = p.transient(o.label, [R * T, H * D]);
  p.dispatch({
    kernel:
      variant === "lanes" ? cachedLanesKernel(D, p.device.lanes) : cachedGroupKernel(D, aligned ? "vec4f" : "f32"),
    label: o.label,
    tensors: { qkv, k: cache.k, v: cache.v, ancestry, out },
    uniforms: { heads: H, tokens: T, keys: o.keys, capacity: cache.capacity },
    workgroups: [H, T, R],
    flops: (scalars) => {
      const keys = typeof o.keys === "number" ? o.keys : (scalars[o.keys.scalar] ?? cache.capacity);
      return 4 * R * H * visiblePairs({ queries: T, keys, causal: true }) * D;
    },
  });
  return out;
}

/** Head sizes in use: GPT-2 and CLIP (64), mappers of GPT-2 small to xl (96 to 200), tiny models (8, 16). */
const HEAD_SIZES = [8, 16, 64, 96, 128, 160, 200];

/** Every kernel of this op, for the WGSL check. */
export function attentionKernels(): KernelSpec[] {
  const vectors = [4, 1] as const;
  const either = [false, true];
  const forward = either.flatMap((drops) => either.map((keepsLse) => ({ drops, keepsLse })));
  const backward = GRADIENTS.flatMap((of) => either.map((drops) => ({ of, drops })));
  return [
    ...vectors.flatMap((v) => [storeKvKernel(VECTOR_TYPE[v]), deltaKernel(v)]),
    ...HEAD_SIZES.flatMap((D) => [
      ...[4, 8].flatMap((lanes) => [
        ...forward.map((traits) => lanesKernel(D, lanes, traits)),
        ...backward.map(({ of, drops }) => lanesBackwardKernel(of, D, lanes, drops)),
        cachedLanesKernel(D, lanes),
      ]),
      ...vectors.flatMap((v) => [
        ...forward.map((traits) => tileKernel(D, VECTOR_TYPE[v], traits)),
        ...backward.map(({ of, drops }) => tileBackwardKernel(of, D, v, drops)),
        cachedGroupKernel(D, VECTOR_TYPE[v]),
      ]),
    ]),
  ];
}
