import { type KernelSpec, read, type UniformField, write } from "../../runtime/kernel.js";
import { DROPOUT_FIELDS, KEEP_WGSL } from "../dropout/dropout.wgsl.js";

/**
 * Strides and offsets count elements of the bound type: vec4f, or f32 where D or an offset is not a multiple of 4.
 * `elements` is N, for loops that a driver must not unroll. Processor time on lavapipe for D = 64: with a constant bound
 * the tile kernel takes 4 s to compile and 13.8 ms for 8 sequences of 26, 12 heads, causal; with this one 0.6 s and 10.9.
 */
const UNIFORMS: readonly UniformField[] = [
  ["queries", "u32"],
  ["keys", "u32"],
  ["heads", "u32"],
  ["causal", "u32"],
  ["hasLengths", "u32"],
  ["elements", "u32"],
  ["qOffset", "u32"],
  ["qBatch", "u32"],
  ["qRow", "u32"],
  ["qHead", "u32"],
  ["kOffset", "u32"],
  ["kBatch", "u32"],
  ["kRow", "u32"],
  ["kHead", "u32"],
  ["vOffset", "u32"],
  ["vBatch", "u32"],
  ["vRow", "u32"],
  ["vHead", "u32"],
];

const bindings = (type: string, keepsLse: boolean) => [
  read("q", type),
  read("k", type),
  read("v", type),
  read("lengths", "u32"),
  write("out", type),
  ...(keepsLse ? [write("lse")] : []),
];

/** What training asks of the forward; a kernel without it has no trace of it. */
export interface ForwardTraits {
  /** Keep the log-sum-exp of the scores. */
  readonly keepsLse: boolean;
  /** Drop probabilities. */
  readonly drops: boolean;
}

/** What dropout of the probabilities adds to a kernel. */
export interface DropParts {
  readonly name: string;
  readonly uniforms: readonly UniformField[];
  /** `kept(b, h, i, j)` = 0 or 1 / (1 - rate), by which p_ij is multiplied after the softmax. */
  readonly functions: string;
  /** Words that stand only in a kernel that drops. */
  readonly only: (words: string) => string;
}

export function dropParts(drops: boolean): DropParts {
  if (!drops) return { name: "", uniforms: [], functions: "", only: () => "" };
  return { name: ".drop", uniforms: DROPOUT_FIELDS, functions: KEPT_WGSL, only: (words) => words };
}

/** Element (b, h, i, j) of the mask [B, H, Tq, Tk]. */
const KEPT_WGSL = /* wgsl */ `
${KEEP_WGSL}
fn kept(b: u32, h: u32, i: u32, j: u32) -> f32 {
  return select(0.0, u.scale, keep4(vec4u(((b * u.heads + h) * u.queries + i) * u.keys + j)).x);
}`;

/** The log-sum-exp of a query's scores, from which the backward computes the probabilities again. */
const keepLse = (keepsLse: boolean) => /* wgsl */ `
fn keepLse(row: u32, top: f32, total: f32) { ${keepsLse ? "lse[row] = top + log(max(total, 1e-30));" : ""} }`;

/** The inner product of two elements, by their type. */
export const INNER = {
  vec4f: /* wgsl */ `fn inner(a: vec4f, b: vec4f) -> f32 { return dot(a, b); }`,
  f32: /* wgsl */ `fn inner(a: f32, b: f32) -> f32 { return a * b; }`,
} as const;

/** Keys that query i of sequence b sees: a prefix, of which the causal one ends at key i + Tk - Tq. */
export const VISIBLE_KEYS = /* wgsl */ `
fn visibleKeys(b: u32, i: u32) -> u32 {
  var n = u.keys;
  if (u.hasLengths != 0u) { n = min(n, lengths[b]); }
  if (u.causal != 0u) { n = min(n, max(i + 1u + u.keys, u.queries) - u.queries); }
  return n;
}`;

/** Head sizes up to 240 keep the tile and the scores in 16 KiB of workgroup memory. */
export const MAX_HEAD_SIZE = 240;

/**
 * A workgroup of 64 for 16 queries of one head, tiles of 16 keys in workgroup memory: an invocation scores four keys
 * for its query, then owns every fourth element of that query's output. Any D, any offsets.
 */
export function tileKernel(D: number, element: "vec4f" | "f32", { keepsLse, drops }: ForwardTraits): KernelSpec {
  const N = element === "vec4f" ? D / 4 : D;
  const drop = dropParts(drops);
  return {
    name: `attention.tile.${element}.d${D}${keepsLse ? ".lse" : ""}${drop.name}`,
    bindings: bindings(element, keepsLse),
    uniforms: [...UNIFORMS, ...drop.uniforms],
    constants: { D, N, OWN: Math.ceil(N / 4) },
    aliases: { Element: element },
    workgroup: [64, 1, 1],
    body: /* wgsl */ `
var<workgroup> tile: array<Element, 16u * N>;
var<workgroup> scores: array<f32, 256>;
${VISIBLE_KEYS}
${keepLse(keepsLse)}
${INNER[element]}${drop.functions}
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = local / 4u;
  let part = local % 4u;
  let i = min(group.x * 16u + row, u.queries - 1u);
  let h = group.y;
  let b = group.z;
  let q0 = u.qOffset + b * u.qBatch + i * u.qRow + h * u.qHead;
  let k0 = u.kOffset + b * u.kBatch + h * u.kHead;
  let v0 = u.vOffset + b * u.vBatch + h * u.vHead;
  var acc: array<Element, OWN>;
  var top = -3.4e38;
  var total = 0.0;
  let n = visibleKeys(b, i);
  let end = visibleKeys(b, min(group.x * 16u + 16u, u.queries) - 1u);
  for (var first = 0u; first < end; first += 16u) {
    for (var f = local; f < 16u * N; f += 64u) {
      tile[f] = k[k0 + min(first + f / N, u.keys - 1u) * u.kRow + f % N];
    }
    workgroupBarrier();
    // Zeroed by hand: with webgpu 0.6.2 on lavapipe a var without initializer keeps its value from turn to turn.
    var sums = array<f32, 4>();
    for (var d = 0u; d < u.elements; d++) {
      let query = q[q0 + d];
      for (var x = 0u; x < 4u; x++) { sums[x] += inner(query, tile[(part + x * 4u) * N + d]); }
    }
    for (var x = 0u; x < 4u; x++) {
      let at = part + x * 4u;
      scores[row * 16u + at] = select(-3.4e38, sums[x] / sqrt(f32(D)), first + at < n);
    }
    workgroupBarrier();
    for (var f = local; f < 16u * N; f += 64u) {
      tile[f] = v[v0 + min(first + f / N, u.keys - 1u) * u.vRow + f % N];
    }
    var newTop = top;
    for (var x = 0u; x < 16u; x++) { newTop = max(newTop, scores[row * 16u + x]); }
    let keep = exp(top - newTop);
    top = newTop;
    total *= keep;
    for (var o = 0u; o < OWN; o++) { acc[o] *= keep; }
    workgroupBarrier();
    for (var x = 0u; x < min(16u, end - first); x++) {
      let p = select(0.0, exp(scores[row * 16u + x] - newTop), first + x < n);
      total += p;
      for (var o = 0u; o < OWN; o++) { acc[o] += p${drop.only(" * kept(b, h, i, first + x)")} * tile[x * N + min(part + o * 4u, N - 1u)]; }
    }
    workgroupBarrier();
  }
  if (group.x * 16u + row >= u.queries) { return; }
  let out0 = (b * u.queries + i) * u.heads + h;
  if (part == 0u) { keepLse(out0, top, total); }
  for (var o = 0u; o < OWN; o++) {
    let d = part + o * 4u;
    if (d < N) { out[out0 * N + d] = acc[o] / max(total, 1e-30); }
  }
}`,
  };
}

/**
 * CPU adapters: a workgroup is one subgroup, a lane is one query. The lanes load a tile of KEYS keys together, one vec4
 * each (a load costs the same whether the lanes agree or not), and hand it round by shuffles. D is a multiple of 4.
 * KEYS is the least that gives every lane a load: at D = 64, one key at a time takes 0.33 ms of both cores for a layer
 * of CLIP B/32 (lavapipe, 8 lanes), four keys 0.99 ms because registers spill.
 */
export function lanesKernel(D: number, lanes: number, { keepsLse, drops }: ForwardTraits): KernelSpec {
  const N = D / 4;
  const drop = dropParts(drops);
  const KEYS = Math.max(1, Math.floor(lanes / N));
  return {
    name: `attention.lanes${lanes}.d${D}${keepsLse ? ".lse" : ""}${drop.name}`,
    bindings: bindings("vec4f", keepsLse),
    uniforms: [...UNIFORMS, ...drop.uniforms],
    constants: { D, N, KEYS, LANES: lanes, LOADS: Math.ceil((KEYS * N) / lanes) },
    workgroup: [lanes, 1, 1],
    enables: ["subgroups"],
    body: /* wgsl */ `
${VISIBLE_KEYS}
${keepLse(keepsLse)}${drop.functions}
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let i = min(group.x * LANES + lane, u.queries - 1u);
  let h = group.y;
  let b = group.z;
  let q0 = u.qOffset + b * u.qBatch + i * u.qRow + h * u.qHead;
  let k0 = u.kOffset + b * u.kBatch + h * u.kHead;
  let v0 = u.vOffset + b * u.vBatch + h * u.vHead;
  var query: array<vec4f, N>;
  var acc: array<vec4f, N>;
  for (var d = 0u; d < N; d++) { query[d] = q[q0 + d] * (1.0 / sqrt(f32(D))); }
  var top = -3.4e38;
  var total = 0.0;
  let n = visibleKeys(b, i);
  let end = visibleKeys(b, min(group.x * LANES + LANES, u.queries) - 1u);
  for (var first = 0u; first < end; first += KEYS) {
    var tile: array<vec4f, LOADS>;
    for (var x = 0u; x < LOADS; x++) {
      let f = x * LANES + lane;
      tile[x] = k[k0 + min(first + f / N, u.keys - 1u) * u.kRow + f % N];
    }
    var scores: array<f32, KEYS>;
    var newTop = top;
    for (var x = 0u; x < KEYS; x++) {
      var products = vec4f();
      for (var d = 0u; d < N; d++) {
        let f = x * N + d;
        products += query[d] * subgroupShuffle(tile[f / LANES], f % LANES);
      }
      scores[x] = select(-3.4e38, dot(products, vec4f(1.0)), first + x < n);
      newTop = max(newTop, scores[x]);
    }
    let keep = exp(top - newTop);
    top = newTop;
    total *= keep;
    for (var x = 0u; x < KEYS; x++) {
      scores[x] = select(0.0, exp(scores[x] - newTop), first + x < n);
      total += scores[x];${drop.only(" scores[x] *= kept(b, h, i, first + x);")}
    }
    for (var x = 0u; x < LOADS; x++) {
      let f = x * LANES + lane;
      tile[x] = v[v0 + min(first + f / N, u.keys - 1u) * u.vRow + f % N];
    }
    for (var d = 0u; d < N; d++) {
      var sum = acc[d] * keep;
      for (var x = 0u; x < KEYS; x++) {
        let f = x * N + d;
        sum += scores[x] * subgroupShuffle(tile[f / LANES], f % LANES);
      }
      acc[d] = sum;
    }
  }
  if (group.x * LANES + lane >= u.queries) { return; }
  let out0 = (b * u.queries + i) * u.heads + h;
  keepLse(out0, top, total);
  let inverse = 1.0 / max(total, 1e-30);
  for (var d = 0u; d < N; d++) { out[out0 * N + d] = acc[d] * inverse; }
}`,
  };
}
