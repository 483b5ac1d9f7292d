import { type KernelSpec, read, type UniformField, write } from "../../runtime/kernel.js";
import { contributionParts } from "../contribution.js";
import { ELEMENT_WGSL, ELEMENTS_PER_GROUP, VECTOR_TYPE, type Vector } from "../grid.js";
import { type DropParts, dropParts, INNER, VISIBLE_KEYS } from "./attention.wgsl.js";

/*
 * The forward, for query i and key j of one head:
 *   s_ij = q_i . k_j / sqrt(D);   p_ij = exp(s_ij - lse_i);   out_i = sum_j p_ij v_j
 * Its backward, with dp_ij = dout_i . v_j, delta_i = sum_j p_ij dp_ij = dout_i . out_i and ds_ij = p_ij (dp_ij - delta_i):
 *   dq_i = sum_j ds_ij k_j / sqrt(D);   dk_j = sum_i ds_ij q_i / sqrt(D);   dv_j = sum_i p_ij dout_i
 * Under dropout with m_ij = 0 or 1 / (1 - rate), out_i = sum_j m_ij p_ij v_j: then dp_ij = m_ij dout_i . v_j, delta_i is
 * dout_i . out_i still, and dv_j = sum_i m_ij p_ij dout_i.
 *
 * All three are one kernel: a row of the `own` side (queries for dq, keys for dk and dv) walks over the rows of the
 * `other` side that it sees or is seen by. Each side has two vectors per row: that of the scores (q or k) and that of
 * the values (dout or v), `ownValue` and `otherValue`. p is computed again from s and lse; nothing is added atomically.
 */

export type GradientOf = "q" | "k" | "v";

const side = (name: string): UniformField[] => [
  [`${name}Offset`, "u32"],
  [`${name}Batch`, "u32"],
  [`${name}Row`, "u32"],
  [`${name}Head`, "u32"],
];

/** Strides and offsets count elements of the bound type, as in the forward. */
const UNIFORMS: readonly UniformField[] = [
  ["queries", "u32"],
  ["keys", "u32"],
  ["heads", "u32"],
  ["causal", "u32"],
  ["hasLengths", "u32"],
  ["elements", "u32"],
  ...side("own"),
  ...side("ownValue"),
  ...side("other"),
  ...side("otherValue"),
  ...contributionParts(4).uniforms,
];

/** The gradient is laid out as q or k (`own`) for dq and dk, as v (`ownValue`) for dv. */
const bindings = (vector: Vector) => {
  const type = VECTOR_TYPE[vector];
  return [
    read("own", type),
    read("ownValue", type),
    read("other", type),
    read("otherValue", type),
    read("rows", "vec2f"),
    read("lengths", "u32"),
    ...contributionParts(vector).bindings,
  ];
};

const sides = (of: GradientOf) => ({ OWN_KEYS: of !== "q", VALUES: of === "v" });

/** Argument of `weight` in a kernel that drops: m_ij for own row r and another. */
const keptPair = (drop: DropParts, r: string, another: string) =>
  drop.only(`, kept(b, h, select(${r}, ${another}, OWN_KEYS), select(${another}, ${r}, OWN_KEYS))`);

const walk = (drop: DropParts) => /* wgsl */ `
${VISIBLE_KEYS}${drop.functions}
fn ownCount() -> u32 { return select(u.queries, u.keys, OWN_KEYS); }
fn otherCount() -> u32 { return select(u.keys, u.queries, OWN_KEYS); }

// The rows [x, y) of the other side that own row r meets.
fn met(b: u32, r: u32) -> vec2u {
  if (!OWN_KEYS) { return vec2u(0u, visibleKeys(b, r)); }
  let hidden = u.hasLengths != 0u && r >= lengths[b];
  let first = select(0u, max(r + u.queries, u.keys) - u.keys, u.causal != 0u);
  return vec2u(first, select(u.queries, 0u, hidden));
}

// Those that any own row of first..last meets.
fn metByAny(b: u32, first: u32, last: u32) -> vec2u {
  let low = met(b, first);
  return vec2u(low.x, max(low.y, met(b, last).y));
}

// (lse, delta) of query i.
fn statistics(b: u32, h: u32, i: u32) -> vec2f {
  return rows[(b * u.queries + min(i, u.queries - 1u)) * u.heads + h];
}

// p_ij for dv, ds_ij for dq and dk. Rounding may put s above lse by a little, and pairs that do not meet have any s:
// exp of either must not overflow.
fn weight(row: vec2f, s: f32, dp: f32${drop.only(", kept: f32")}) -> f32 {
  let p = exp(min(s - row.x, 0.0));
  return select(p * (dp${drop.only(" * kept")} - row.y), p${drop.only(" * kept")}, VALUES);
}
`;

/** As the forward's tile kernel: a workgroup of 64 for 16 own rows, tiles of 16 other rows. Any D, any offsets. */
export function tileBackwardKernel(of: GradientOf, D: number, vector: Vector, drops: boolean): KernelSpec {
  const N = D / vector;
  const drop = dropParts(drops);
  const element = VECTOR_TYPE[vector];
  return {
    name: `attention.d${of}.tile.${element}.d${D}${drop.name}`,
    bindings: bindings(vector),
    uniforms: [...UNIFORMS, ...drop.uniforms],
    constants: { D, N, OWN: Math.ceil(N / 4), ...sides(of) },
    aliases: contributionParts(vector).aliases,
    workgroup: [64, 1, 1],
    body: /* wgsl */ `
var<workgroup> tile: array<V, 16u * N>;
var<workgroup> weights: array<f32, 256>;
${walk(drop)}
${INNER[element]}
${contributionParts(vector).functions}
fn loadOther(start: u32, first: u32, local: u32) {
  for (var f = local; f < 16u * N; f += 64u) {
    tile[f] = other[start + min(first + f / N, otherCount() - 1u) * u.otherRow + f % N];
  }
}
fn loadOtherValue(start: u32, first: u32, local: u32) {
  for (var f = local; f < 16u * N; f += 64u) {
    tile[f] = otherValue[start + min(first + f / N, otherCount() - 1u) * u.otherValueRow + f % N];
  }
}
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = local / 4u;
  let part = local % 4u;
  let r = min(group.x * 16u + row, ownCount() - 1u);
  let h = group.y;
  let b = group.z;
  let own0 = u.ownOffset + b * u.ownBatch + r * u.ownRow + h * u.ownHead;
  let ownValue0 = u.ownValueOffset + b * u.ownValueBatch + r * u.ownValueRow + h * u.ownValueHead;
  let other0 = u.otherOffset + b * u.otherBatch + h * u.otherHead;
  let otherValue0 = u.otherValueOffset + b * u.otherValueBatch + h * u.otherValueHead;
  var acc = array<V, OWN>();
  let mine = met(b, r);
  let range = metByAny(b, group.x * 16u, min(group.x * 16u + 16u, ownCount()) - 1u);
  for (var first = range.x; first < range.y; first += 16u) {
    var dp = array<f32, 4>();
    if (!VALUES) {
      loadOtherValue(otherValue0, first, local);
      workgroupBarrier();
      for (var d = 0u; d < u.elements; d++) {
        let value = ownValue[ownValue0 + d];
        for (var x = 0u; x < 4u; x++) { dp[x] += inner(value, tile[(part + x * 4u) * N + d]); }
      }
      workgroupBarrier();
    }
    loadOther(other0, first, local);
    workgroupBarrier();
    var s = array<f32, 4>();
    for (var d = 0u; d < u.elements; d++) {
      let a = own[own0 + d];
      for (var x = 0u; x < 4u; x++) { s[x] += inner(a, tile[(part + x * 4u) * N + d]); }
    }
    for (var x = 0u; x < 4u; x++) {
      let at = part + x * 4u;
      let w = weight(statistics(b, h, select(r, first + at, OWN_KEYS)), s[x] / sqrt(f32(D)), dp[x]${keptPair(drop, "r", "first + at")});
      weights[row * 16u + at] = select(0.0, w, first + at >= mine.x && first + at < mine.y);
    }
    workgroupBarrier();
    if (VALUES) {
      loadOtherValue(otherValue0, first, local);
      workgroupBarrier();
    }
    for (var x = 0u; x < min(16u, range.y - first); x++) {
      let w = weights[row * 16u + x];
      for (var o = 0u; o < OWN; o++) { acc[o] += w * tile[x * N + min(part + o * 4u, N - 1u)]; }
    }
    workgroupBarrier();
  }
  if (group.x * 16u + row >= ownCount()) { return; }
  let place = select(own0, ownValue0, VALUES);
  for (var o = 0u; o < OWN; o++) {
    let d = part + o * 4u;
    if (d < N) { contribute(place + d, acc[o] * select(1.0 / sqrt(f32(D)), 1.0, VALUES)); }
  }
}`,
  };
}

/**
 * CPU adapters, as the forward's lanes kernel: a workgroup is one subgroup, a lane is one own row; the lanes load TILE
 * other rows together and hand them round by shuffles. D is a multiple of 4. For 8 sequences of 26, 12 heads of 64,
 * causal, processor time on lavapipe, 8 lanes: forward 1.41 ms, delta 0.19, dq 1.89, dk 1.69, dv 1.26.
 */
export function lanesBackwardKernel(of: GradientOf, D: number, lanes: number, drops: boolean): KernelSpec {
  const N = D / 4;
  const drop = dropParts(drops);
  const TILE = Math.max(1, Math.floor(lanes / N));
  return {
    name: `attention.d${of}.lanes${lanes}.d${D}${drop.name}`,
    bindings: bindings(4),
    uniforms: [...UNIFORMS, ...drop.uniforms],
    aliases: contributionParts(4).aliases,
    constants: { D, N, TILE, LANES: lanes, LOADS: Math.ceil((TILE * N) / lanes), ...sides(of) },
    workgroup: [lanes, 1, 1],
    enables: ["subgroups"],
    body: /* wgsl */ `
${walk(drop)}
${contributionParts(4).functions}
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let r = min(group.x * LANES + lane, ownCount() - 1u);
  let h = group.y;
  let b = group.z;
  let own0 = u.ownOffset + b * u.ownBatch + r * u.ownRow + h * u.ownHead;
  let ownValue0 = u.ownValueOffset + b * u.ownValueBatch + r * u.ownValueRow + h * u.ownValueHead;
  let other0 = u.otherOffset + b * u.otherBatch + h * u.otherHead;
  let otherValue0 = u.otherValueOffset + b * u.otherValueBatch + h * u.otherValueHead;
  let ownRow = statistics(b, h, r); // of no use where the row is a key
  var a: array<vec4f, N>;
  var value: array<vec4f, N>;
  var acc = array<vec4f, N>();
  for (var d = 0u; d < N; d++) {
    a[d] = own[own0 + d] * (1.0 / sqrt(f32(D)));
    if (!VALUES) { value[d] = ownValue[ownValue0 + d]; }
  }
  let mine = met(b, r);
  let range = metByAny(b, group.x * LANES, min(group.x * LANES + LANES, ownCount()) - 1u);
  for (var first = range.x; first < range.y; first += TILE) {
    var tile = array<vec4f, LOADS>();
    var valueTile = array<vec4f, LOADS>();
    for (var x = 0u; x < LOADS; x++) {
      let f = x * LANES + lane;
      let at = min(first + f / N, otherCount() - 1u);
      tile[x] = other[other0 + at * u.otherRow + f % N];
      valueTile[x] = otherValue[otherValue0 + at * u.otherValueRow + f % N];
    }
    var weights = array<f32, TILE>();
    for (var x = 0u; x < TILE; x++) {
      var s = vec4f();
      var dp = vec4f();
      for (var d = 0u; d < N; d++) {
        let f = x * N + d;
        s += a[d] * subgroupShuffle(tile[f / LANES], f % LANES);
        if (!VALUES) { dp += value[d] * subgroupShuffle(valueTile[f / LANES], f % LANES); }
      }
      var row = ownRow;
      if (OWN_KEYS) { row = statistics(b, h, first + x); }
      let w = weight(row, dot(s, vec4f(1.0)), dot(dp, vec4f(1.0))${keptPair(drop, "r", "first + x")});
      weights[x] = select(0.0, w, first + x >= mine.x && first + x < mine.y);
    }
    if (VALUES) { tile = valueTile; }
    for (var d = 0u; d < N; d++) {
      var sum = acc[d];
      for (var x = 0u; x < TILE; x++) {
        let f = x * N + d;
        sum += weights[x] * subgroupShuffle(tile[f / LANES], f % LANES);
      }
      acc[d] = sum;
    }
  }
  if (group.x * LANES + lane >= ownCount()) { return; }
  let place = select(own0, ownValue0, VALUES);
  // Unrolled, with its branches, the last loop takes three quarters of the compile: 6.2 s instead of 1.7 for dq, D = 64.
  // The copy leaves acc itself in registers.
  var sums = acc;
  for (var d = 0u; d < u.elements; d++) { contribute(place + d, sums[d] * select(1.0 / sqrt(f32(D)), 1.0, VALUES)); }
}`,
  };
}

/** What the backward needs to know of each query: rows [B*Tq, H] = (lse, delta = dout . out). N counts elements. */
export function deltaKernel(vector: Vector): KernelSpec {
  const element = VECTOR_TYPE[vector];
  return {
    name: `attention.delta.${element}`,
    bindings: [read("out", element), read("dout", element), read("lse"), write("rows", "vec2f")],
    uniforms: [
      ["count", "u32"],
      ["N", "u32"],
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    body: /* wgsl */ `${ELEMENT_WGSL}
${INNER[element]}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i >= u.count) { return; }
  var delta = 0.0;
  for (var d = 0u; d < u.N; d++) { delta += inner(dout[i * u.N + d], out[i * u.N + d]); }
  rows[i] = vec2f(lse[i], delta);
}`,
  };
}
