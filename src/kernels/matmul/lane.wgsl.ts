import type { KernelSpec } from "../../runtime/kernel.js";
import { K_RANGE, matmulKernel } from "./matmul.wgsl.js";
import { FOUR_COLUMNS, type WeightType } from "./weight.wgsl.js";

/*
 * Lane kernels, for CPU adapters: a workgroup is one subgroup, a lane owns 4 columns of R rows in registers; no shared
 * memory, no barrier. A load costs a lane the same whether it is uniform or not, so each lane loads other rows of A and
 * the lanes hand them round. Which lane is asked must be known when the loop is unrolled: then a shuffle is one
 * broadcast, and that alone was worth 1.4-1.7x. 45-60 GFLOP/s on lavapipe with two cores, against 4-6 of the tiles.
 * Where A comes through a texture (f32, see runtime/texture.ts) a load of it is a third of the price, and all is 1.2-1.6x as fast.
 * All of B's loads stand before the chained fma, and a sum takes 4 steps of K at once: both spare moves of the sums.
 */

/** Where the kernel finds A. */
export type SourceOfA = "buffer" | "texture";

const SUFFIX = { buffer: "", texture: ".texture" } as const;
const ACCESS = { buffer: "vector", texture: "texture" } as const;

/** Four neighbouring values in a row of A; its rows are counted through the batch. */
const LOAD_A = {
  buffer: /* wgsl */ `
fn rowOfA(row: u32, vectors: u32) -> u32 { return row * vectors; }
fn loadA(row: u32, i: u32) -> vec4f { return a[row + i]; }`,
  texture: /* wgsl */ `
fn rowOfA(row: u32, vectors: u32) -> u32 { return row; }
fn loadA(row: u32, i: u32) -> vec4f { return textureLoad(a, vec2u(i, row)); }`,
} as const;

const HEAD = /* wgsl */ `
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let n = (group.x * LANES + lane) * 4u;
  let row0 = group.y * R;
  let bBase = group.z * (u.bBatch / 4u);
  var tile: array<vec4f, R>;
`;

/**
 * The sums come here in an array that a loop of unknown length can index: unrolled, the activations would stand there R
 * times, and lavapipe would need 10-17 s for the kernel instead of 1.
 */
const TAIL = /* wgsl */ `
  let scales = scale4(n);
  let biases = bias4(n);
  let rows = min(R, u.M - row0);
  for (var i = 0u; i < rows; i++) { store4(group.z, row0 + i, n, tile[i] * scales + biases); }
}
`;

export function laneNt(lanes: number, rows: number, weight: WeightType, a: SourceOfA): KernelSpec {
  return laneRows("nt", lanes, rows, weight, a);
}

export function laneNn(lanes: number, rows: number, a: SourceOfA): KernelSpec {
  return laneRows("nn", lanes, rows, "f32", a);
}

/**
 * A [M,K]: a lane holds 4 steps of K of every LANES-th row, so one load of A serves LANES rows. Those rows are a chunk,
 * and chunks are written out, because lavapipe unrolls no loop (nor nest of loops) of more than 32 turns.
 */
function laneRows(layout: "nn" | "nt", lanes: number, rows: number, weight: WeightType, a: SourceOfA): KernelSpec {
  const b = FOUR_COLUMNS[layout];
  const firsts = Array.from({ length: Math.ceil(rows / lanes) }, (_, c) => c * lanes);
  const chunks = (code: (c: number, first: number, size: number) => string) =>
    firsts.map((first, c) => code(c, first, Math.min(lanes, rows - first))).join("");
  const rowsOfA = (c: number, first: number, size: number) => /* wgsl */ `
  let a${c} = rowOfA(group.z * u.M + min(row0 + ${first}u + lane, u.M - 1u), k4);
  var sum${c}: array<vec4f, ${size}>;`;
  const load = (c: number) => /* wgsl */ `
    let x${c} = loadA(a${c}, k);`;
  const multiply = (c: number, _: number, size: number) => /* wgsl */ `
    for (var l = 0u; l < ${size}u; l++) {
      let s = subgroupShuffle(x${c}, l);
      sum${c}[l] = fma(vec4f(s.w), b3, fma(vec4f(s.z), b2, fma(vec4f(s.y), b1, fma(vec4f(s.x), b0, sum${c}[l]))));
    }`;
  const gather = (c: number, first: number, size: number) => /* wgsl */ `
  for (var l = 0u; l < ${size}u; l++) { tile[${first}u + l] = sum${c}[l]; }`;
  return matmulKernel(`${layout}.lane${lanes}.r${rows}${SUFFIX[a]}`, weight, ACCESS[a], {
    constants: { LANES: lanes, R: rows },
    workgroup: [lanes, 1, 1],
    enables: ["subgroups"],
    body: `${LOAD_A[a]}${HEAD}
  let k4 = u.K / 4u;${b.before}${chunks(rowsOfA)}
  for (var k = 0u; k < k4; k++) {${chunks(load)}${b.load}${chunks(multiply)}
  }${chunks(gather)}${TAIL}`,
  });
}

/** How much of K one dispatch of `laneTn` adds up; see `kRanges`. */
const K_STEPS = 768;

/**
 * K in equal parts of at most K_STEPS, for one dispatch of `laneTn` after the other. Every tile of the output walks down
 * all rows of A and B: some hundreds of them stay in the processor's second cache, and K = 6400 goes at 47 to 53 GFLOP/s
 * instead of 34 to 39.
 */
export function kRanges(K: number): { readonly kStart: number; readonly kEnd: number }[] {
  const parts = Math.ceil(K / K_STEPS);
  const size = Math.ceil(K / parts / 4) * 4;
  return Array.from({ length: parts }, (_, i) => ({ kStart: i * size, kEnd: Math.min(K, (i + 1) * size) }));
}

/** A [K,M]: a lane holds 4 consecutive rows of A at each step of K, so one load of A serves 4 * LANES rows. */
export function laneTn(lanes: number, a: SourceOfA): KernelSpec {
  const steps = [0, 1, 2, 3];
  const load = (q: number) => /* wgsl */ `
    let k${q} = min(k + ${q}u, u.kEnd - 1u);
    let x${q} = loadA(rowOfA(group.z * u.K + k${q}, m4), mine);
    let b${q} = select(vec4f(), weight4(column + k${q} * n4), k + ${q}u < u.kEnd);`;
  const multiply = (row: string, j: number) => /* wgsl */ `
      sum[l][${j}] = fma(vec4f(s3.${row}), b3, fma(vec4f(s2.${row}), b2,
        fma(vec4f(s1.${row}), b1, fma(vec4f(s0.${row}), b0, sum[l][${j}]))));`;
  return matmulKernel(`tn.lane${lanes}${SUFFIX[a]}`, "f32", ACCESS[a], {
    range: K_RANGE,
    constants: { LANES: lanes, R: lanes * 4 },
    workgroup: [lanes, 1, 1],
    enables: ["subgroups"],
    body: `${LOAD_A[a]}${HEAD}
  let n4 = u.N / 4u;
  let m4 = u.M / 4u;
  let column = bBase + min(n / 4u, n4 - 1u);
  let mine = min(row0 / 4u + lane, m4 - 1u);
  var sum: array<array<vec4f, 4>, LANES>;
  for (var k = u.kStart; k < u.kEnd; k += 4u) {${steps.map(load).join("")}
    for (var l = 0u; l < LANES; l++) {
      let s0 = subgroupShuffle(x0, l);
      let s1 = subgroupShuffle(x1, l);
      let s2 = subgroupShuffle(x2, l);
      let s3 = subgroupShuffle(x3, l);${["x", "y", "z", "w"].map(multiply).join("")}
    }
  }
  for (var l = 0u; l < LANES; l++) {
    for (var j = 0u; j < 4u; j++) { tile[4u * l + j] = sum[l][j]; }
  }${TAIL}`,
  });
}
