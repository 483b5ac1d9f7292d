import type { Device } from "../../runtime/device.js";
import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Gradients, GradientTarget } from "../../runtime/tape.js";
import { rowsOfTensor, type Tensor, type TensorPart } from "../../runtime/tensor.js";
import { fitsTexture } from "../../runtime/texture.js";
import { activation } from "../activation/activation.js";
import { ACTIVATIONS, type ActivationKind } from "../activation/activation.wgsl.js";
import { choose, sizeClass, type Tunable } from "../choice.js";
import { columnSum } from "../columnsum/columnsum.js";
import { addGradient } from "../gradient.js";
import { add, sliceColumns } from "../rows/rows.js";
import { type Activations, kRanges, laneNn, laneNt, laneTn } from "./lane.wgsl.js";
import { FLAG, fewRows, type Layout } from "./matmul.wgsl.js";
import { PLAIN_GROUP, PLAIN_ROWS, plain } from "./plain.wgsl.js";
import { type TileSize, tile } from "./tile.wgsl.js";

export type { Layout };

import type { WeightType } from "./weight.wgsl.js";

export interface MatmulOptions {
  readonly label: string;
  readonly layout: Layout;
  /** f32 [N]. */
  readonly bias?: Tensor;
  readonly activation?: ActivationKind;
  /** Shape of the output; added after the activation. */
  readonly residual?: Tensor;
  /** Write (or add) the result there instead of to a new value. */
  readonly target?: GradientTarget;
  /** For tests and benchmarks; otherwise `chooseVariant` decides. */
  readonly variant?: Variant;
}

/** A kernel and the output tile that one workgroup of it computes. */
export type Variant =
  | { readonly family: "lane"; readonly lanes: number; readonly rows: number; readonly a: Activations }
  | { readonly family: "plain" }
  | { readonly family: "tile"; readonly size: TileSize }
  | { readonly family: "few-rows"; readonly rows: number };

export interface MatmulShape {
  readonly layout: Layout;
  readonly M: number;
  readonly K: number;
  readonly N: number;
  /** Matrices, each with its own rows of A; 1 unless given. */
  readonly batch?: number;
}

/**
 * out = act(a b + bias) + residual, the last two axes of `a` and `b` being matrices in the given layout; leading axes
 * are batches, and a two-axis `b` serves every batch. Only `nt` takes packed weights (f16, q8) and weights split into
 * parts. Returns f32 [..., M, N].
 * @throws RangeError when the shapes do not fit.
 */
export function matmul(p: Program, a: Tensor, b: Tensor, o: MatmulOptions): Tensor {
  const shape = matmulShape(a, b, o);
  const { M, K, N, batch = 1 } = shape;
  if (needsOwnActivation(a, b, o)) return activated(p, a, b, o);
  const out = o.target?.grad ?? p.transient(o.label, [...a.shape.slice(0, -2), M, N]);
  const weight = b.dtype as WeightType;
  const variant = o.variant ?? chooseVariant(shape, p.device, weight);
  const spec = kernelFor(shape.layout, variant, weight);
  const empty = p.device.empty;
  const epilogue = (o.bias ? FLAG.bias : 0) | (o.residual ? FLAG.residual : 0);
  const activation = ACTIVATIONS[o.activation ?? "none"];
  const inParts = variant.family === "lane" && shape.layout === "tn" && activation === ACTIVATIONS.none;
  const ranges = inParts ? kRanges(K) : [{ kStart: 0, kEnd: K }];
  const parts = b.storage.kind === "buffers" ? b.storage.parts : [{ start: 0, end: N }];
  parts.forEach(({ start, end }, part) => {
    const columns = parts.length > 1 ? end - start : N;
    const bound: Tensor | TensorPart = parts.length > 1 ? { tensor: b, part } : b;
    ranges.forEach(({ kStart, kEnd }, i) => {
      p.dispatch({
        kernel: spec,
        label: parts.length > 1 ? `${o.label}[${start}..${end}]` : o.label,
        tensors: {
          a,
          b: bound,
          bias: o.bias ?? empty,
          residual: o.residual ?? empty,
          out,
          ...(b.scale ? { scale: b.scale } : {}),
        },
        uniforms: {
          M,
          K,
          N: columns,
          column0: parts.length > 1 ? start : 0,
          outStride: N,
          aBatch: M * K,
          bBatch: b.shape.length > 2 ? K * N : 0,
          flags: i === 0 ? epilogue : 0,
          activation,
          accumulate: i === 0 ? (o.target?.accumulate ?? 0) : 1,
          kStart,
          kEnd,
        },
        workgroups: workgroups(variant, M, columns, batch),
        flops: 2 * batch * M * (kEnd - kStart) * columns,
      });
    });
  });
  p.differentiate(out, [a, b, o.bias, o.residual], (dout, gradients) => matmulBackward(p, a, b, o, dout, gradients));
  return out;
}

/** An activation's backward needs its input, which the epilogue does not keep: then it is an operation of its own. */
function needsOwnActivation(a: Tensor, b: Tensor, o: MatmulOptions): boolean {
  const kind = o.activation ?? "none";
  return kind !== "none" && [a, b, o.bias, o.residual].some((t) => t?.requiresGrad);
}

function activated(p: Program, a: Tensor, b: Tensor, o: MatmulOptions): Tensor {
  const z = matmul(p, a, b, { ...o, activation: "none", residual: undefined, label: `${o.label}.z` });
  const y = activation(p, z, o.activation!, { label: o.label });
  return o.residual ? add(p, y, o.residual, { label: `${o.label}.sum` }) : y;
}

/**
 * out = a b + bias + residual, stored as nn:  da = dout b^T,  db = a^T dout,  dbias = column sums,  dresidual = dout.
 * The other layouts are the same products with a or b transposed.
 */
export function matmulBackward(
  p: Program,
  a: Tensor,
  b: Tensor,
  o: Pick<MatmulOptions, "layout" | "label" | "bias" | "residual">,
  dout: Tensor,
  gradients: Gradients,
): void {
  const { layout, label } = o;
  const product = (x: Tensor, y: Tensor, l: Layout, name: string, to: Pick<MatmulOptions, "residual" | "target">) =>
    matmul(p, x, y, { ...to, layout: l, label: `d ${label}.${name}` });
  addGradient(p, gradients, o.residual, dout);
  const bias = o.bias && gradients.target(o.bias);
  if (bias) columnSum(p, stack(dout), bias, { label: `d ${label}.bias` });
  if (b.storage.kind === "buffers" && b.storage.parts.length > 1) {
    for (const { start, end } of b.storage.parts) {
      const columns = sliceColumns(p, dout, { from: start, to: end, label: `d ${label}[${start}..${end}]` });
      matmulBackward(p, a, rowsOfTensor(b, start, end), { layout, label }, columns, gradients);
    }
    return;
  }
  contribute(gradients, a, (to) => {
    if (layout === "nn") return product(dout, b, "nt", "a", to);
    return layout === "nt" ? product(dout, b, "nn", "a", to) : product(b, dout, "nt", "a", to);
  });
  // One b for a batch: its gradient is the sum over the batch, which is the product of the stacked rows.
  const stacked = b.shape.length === 2 && layout !== "tn";
  const [x, dy] = stacked ? [stack(a), stack(dout)] : [a, dout];
  contribute(gradients, b, (to) => {
    if (layout === "nn") return product(x, dy, "tn", "b", to);
    return layout === "nt" ? product(dy, x, "tn", "b", to) : product(x, dy, "nn", "b", to);
  });
}

/** Lets a product add itself to a gradient: in place for a persistent tensor, else in its epilogue. */
function contribute(
  gradients: Gradients,
  t: Tensor,
  make: (to: Pick<MatmulOptions, "residual" | "target">) => Tensor,
): void {
  const target = gradients.target(t);
  if (target) make({ target });
  else gradients.add(t, (residual) => make({ residual }));
}

/** [..., rows, columns] -> [all rows, columns]. */
function stack(t: Tensor): Tensor {
  const columns = t.shape.at(-1)!;
  return t.reshape(t.size / columns, columns);
}

export interface LinearOptions {
  readonly label: string;
  readonly bias?: Tensor;
  readonly activation?: ActivationKind;
  readonly residual?: Tensor;
}

/** torch.nn.Linear: x [rows, C] times weight [D, C] transposed, with epilogues as in `matmul`. Returns [rows, D]. */
export function linear(p: Program, x: Tensor, weight: Tensor, o: LinearOptions): Tensor {
  return matmul(p, x, weight, { ...o, layout: "nt" });
}

/** Which kernel computes a shape on a device: the fastest where that was measured, else the usual one. Pure. */
export function chooseVariant(shape: MatmulShape, device: Choosing, weight: WeightType = "f32"): Variant {
  return choose(device, shapeClass(shape, weight), candidates(shape, device), variantName);
}

type Choosing = Pick<Device, "lanes"> & Partial<Pick<Device, "adapter" | "textures">> & Tunable;

/** The class that a shape is measured in. Up to 64 rows the class is exact: how tiles fit decides there. */
export function shapeClass({ layout, M, K, N }: MatmulShape, weight: WeightType): string {
  return `matmul ${layout} ${weight} ${M <= 64 ? M : sizeClass(M)}x${sizeClass(K)}x${sizeClass(N)}`;
}

/** Names a variant among the candidates of a shape. */
export function variantName(v: Variant): string {
  if (v.family === "tile") return `tile${v.size}`;
  if (v.family === "plain") return v.family;
  return `${v.family}.r${v.rows}${v.family === "lane" && v.a === "texture" ? ".texture" : ""}`;
}

/** What may be fastest for a shape, the usual choice first. */
export function candidates(shape: MatmulShape, device: Choosing): Variant[] {
  const usual = usualVariant(shape, device);
  const others: Variant[] = [];
  if (usual.family === "lane" && shape.layout !== "tn" && shape.M > 8) {
    for (const rows of nearlyBestRows(shape.M)) others.push({ ...usual, rows });
    if (usual.a === "texture") others.push({ ...usual, a: "buffer" });
  }
  if (usual.family === "few-rows") others.push(TILE);
  if (usual.family === "tile" && device.lanes === 0 && shape.M > 64) others.push(TILE, LARGE_TILE);
  return [usual, ...others.filter((v) => variantName(v) !== variantName(usual))];
}

/**
 * What is taken where nothing was measured. The rows per workgroup on CPU adapters are the trade-off of
 * loads per multiply-add (more rows are better) against rows computed for nothing; relative speeds were measured at
 * 960 x 768 x 768 on lavapipe, two cores, A in a texture (64 rows: 63 GFLOP/s).
 */
function usualVariant(shape: MatmulShape, device: Choosing): Variant {
  const { layout, M, K, N } = shape;
  const { lanes } = device;
  const vectors =
    layout === "nt" ? K % 4 === 0 : layout === "nn" ? K % 4 === 0 && N % 4 === 0 : M % 4 === 0 && N % 4 === 0;
  if (vectors && M > 4 && /swiftshader/i.test(device.adapter?.architecture ?? "")) return { family: "plain" };
  if (lanes > 0 && vectors) {
    const rows = layout === "tn" ? 4 * lanes : M <= 8 ? M : nearlyBestRows(M)[0]!;
    return { family: "lane", lanes, rows, a: device.textures && paysTexture(shape) ? "texture" : "buffer" };
  }
  if (layout === "nt" && vectors && M <= 8) return { family: "few-rows", rows: M <= 1 ? 1 : M <= 4 ? 4 : 8 };
  return lanes === 0 && fillsLargeTiles(shape) ? LARGE_TILE : TILE;
}

const TILE: Variant = { family: "tile", size: 64 };
const LARGE_TILE: Variant = { family: "tile", size: 128 };

/** Workgroups that keep a large GPU busy: some for each of its hundred or so cores. */
const BUSY = 192;

/** Whether the large tiles are many, and mostly full: a thread of theirs does twice as much with what it loads. */
function fillsLargeTiles({ M, N, batch = 1 }: MatmulShape): boolean {
  const tiles = batch * Math.ceil(M / 128) * Math.ceil(N / 128);
  return tiles >= BUSY && batch * M * N >= 0.8 * tiles * 128 ** 2;
}

/**
 * Whether A is worth its way through a texture. With fewer columns the copy costs what it saves, and with less work the end
 * of the compute pass does (10 us): both were even on lavapipe, and 0.8 times as fast at 64 columns.
 */
function paysTexture({ layout, M, K, N, batch = 1 }: MatmulShape): boolean {
  const [rows, columns] = layout === "tn" ? [K, M] : [M, K];
  return N >= 128 && batch * M * K * N >= 5e5 && fitsTexture({ rows: batch * rows, columns });
}

/** Few values, because each is a kernel to compile; see `usualVariant`. */
const LANE_ROWS: readonly (readonly [rows: number, relativeSpeed: number])[] = [
  [10, 0.54],
  [16, 0.71],
  [20, 0.76],
  [25, 0.81],
  [32, 0.88],
  [40, 0.96],
  [48, 0.98],
  [50, 0.96],
  [56, 0.98],
  [64, 1],
];

/** The rows a workgroup that should take least time, in order; those that should take 1.25 times as long are left out. */
function nearlyBestRows(M: number): number[] {
  const costs = LANE_ROWS.map(([rows, speed]) => ({ rows, cost: (Math.ceil(M / rows) * rows) / speed }));
  costs.sort((a, b) => a.cost - b.cost || a.rows - b.rows);
  return costs.filter(({ cost }) => cost <= 1.25 * costs[0]!.cost).map(({ rows }) => rows);
}

function kernelFor(layout: Layout, v: Variant, weight: WeightType): KernelSpec {
  switch (v.family) {
    case "lane":
      if (layout === "nt") return laneNt(v.lanes, v.rows, weight, v.a);
      return layout === "nn" ? laneNn(v.lanes, v.rows, v.a) : laneTn(v.lanes, v.a);
    case "plain":
      return plain(layout, weight);
    case "few-rows":
      return fewRows(v.rows, weight);
    case "tile":
      return tile(layout, weight, v.size);
  }
}

function workgroups(v: Variant, M: number, N: number, batch: number): [number, number, number] {
  switch (v.family) {
    case "lane":
      return [Math.ceil(N / (4 * v.lanes)), Math.ceil(M / v.rows), batch];
    case "plain":
      return [Math.ceil(N / (4 * PLAIN_GROUP[0])), Math.ceil(M / (PLAIN_ROWS * PLAIN_GROUP[1])), batch];
    case "few-rows":
      return [Math.ceil(N / 4), Math.ceil(M / v.rows), batch];
    case "tile":
      return [Math.ceil(N / v.size), Math.ceil(M / v.size), batch];
  }
}

function matmulShape(a: Tensor, b: Tensor, o: MatmulOptions): MatmulShape {
  const { layout } = o;
  const [a0, a1] = a.shape.slice(-2) as [number, number];
  const [b0, b1] = b.shape.slice(-2) as [number, number];
  const [M, K] = layout === "tn" ? [a1, a0] : [a0, a1];
  const [N, inner] = layout === "nt" ? [b0, b1] : [b1, b0];
  const fail = (why: string): never => {
    throw new RangeError(`${o.label}: ${why} (a [${a.shape}], b [${b.shape}], ${layout})`);
  };
  if (inner !== K) fail("the inner sizes differ");
  if (layout !== "nt" && b.dtype !== "f32") fail(`${b.dtype} weights need the nt layout`);
  if (o.bias && o.bias.size !== N) fail(`the bias has ${o.bias.size} values for ${N} columns`);
  if (b.shape.length > 2 && `${b.shape.slice(0, -2)}` !== `${a.shape.slice(0, -2)}`) fail("the batches differ");
  return { layout, M, K, N, batch: a.shape.slice(0, -2).reduce((x, y) => x * y, 1) };
}

/** Every kernel that `matmul` can choose on the known adapters, to prove that each compiles. */
export function matmulKernels(): KernelSpec[] {
  const weights: WeightType[] = ["f32", "f16", "q8"];
  const layouts: Layout[] = ["nn", "nt", "tn"];
  return [
    ...[4, 8].flatMap((lanes) => [
      ...[1, 2, 3, 4, 5, 6, 7, 8, ...LANE_ROWS.map(([r]) => r)].flatMap((rows) => [
        ...(["buffer", "texture"] as const).flatMap((a) => [
          ...weights.map((w) => laneNt(lanes, rows, w, a)),
          laneNn(lanes, rows, a),
        ]),
      ]),
      laneTn(lanes, "buffer"),
      laneTn(lanes, "texture"),
    ]),
    ...layouts.map((l) => plain(l, "f32")),
    plain("nt", "f16"),
    plain("nt", "q8"),
    ...([64, 128] as const).flatMap((size) => [
      ...layouts.map((l) => tile(l, "f32", size)),
      tile("nt", "f16", size),
      tile("nt", "q8", size),
    ]),
    ...[1, 4, 8].flatMap((rows) => weights.map((w) => fewRows(rows, w))),
  ];
}
