import { isSwiftShader } from "../../runtime/adapter.js";
import type { Device } from "../../runtime/device.js";
import type { KernelSpec } from "../../runtime/kernel.js";
import { fitsTexture } from "../../runtime/texture.js";
import { choose, sizeClass, type Tunable } from "../choice.js";
import { laneNn, laneNt, laneTn, type SourceOfA } from "./lane.wgsl.js";
import { fewRows, type Layout } from "./matmul.wgsl.js";
import { PLAIN_GROUP, PLAIN_ROWS, plain } from "./plain.wgsl.js";
import { type TileSize, tile } from "./tile.wgsl.js";
import type { WeightType } from "./weight.wgsl.js";

/** A kernel and the output tile that one workgroup of it computes. */
export type Variant =
  | { readonly family: "lane"; readonly lanes: number; readonly rows: number; readonly a: SourceOfA }
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
  if (vectors && M > 4 && device.adapter && isSwiftShader(device.adapter)) return { family: "plain" };
  if (lanes > 0 && vectors) {
    const rows = layout === "tn" ? 4 * lanes : M <= 8 ? M : nearlyBestRows(M)[0]!;
    return { family: "lane", lanes, rows, a: device.textures && paysTexture(shape) ? "texture" : "buffer" };
  }
  if (layout === "nt" && vectors && M <= 8 && N <= 4 * MOST_WORKGROUPS)
    return { family: "few-rows", rows: M <= 1 ? 1 : M <= 4 ? 4 : 8 };
  return lanes === 0 && fillsLargeTiles(shape) ? LARGE_TILE : TILE;
}

/** In one dimension, by WebGPU's default limits. */
const MOST_WORKGROUPS = 65_535;
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

/** The kernel of a variant. */
export function kernelFor(layout: Layout, v: Variant, weight: WeightType): KernelSpec {
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

/** Workgroups that cover an output of `batch` matrices [M, N]. */
export function workgroups(v: Variant, M: number, N: number, batch: number): [number, number, number] {
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
