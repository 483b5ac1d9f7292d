import type { KernelSpec } from "../../runtime/kernel.js";
import { read, write } from "../../runtime/kernel.js";
import { type RowGroup, rowGroupParts } from "../rowgroup.js";
import { APPEND, IS_STOP, LOWEST_CONST, STOP_FIELDS } from "./shared.wgsl.js";

/** Order-preserving integers of logits (0 belongs to no number), and weights exp((logit - maximum) / temperature). */
const WEIGHTS = /* wgsl */ `
fn keyOf(x: f32) -> u32 {
  let bits = bitcast<u32>(select(x, 0.0, x == 0.0)); // -0 equals 0
  return select(bits | 0x80000000u, ~bits, bits >> 31u == 1u);
}

// exp of a very negative number is not exactly 0 on every adapter, but a banned token's probability must be.
fn weight(x: f32, maximum: f32) -> f32 {
  let d = max(x - maximum, -1e30) * u.inverseTemperature;
  return select(exp(d), 0.0, d < -100.0);
}`;

/**
 * One workgroup per row: the smallest key that passes both filters. stats[row] = bits of (maximum, weight of all kept
 * tokens, log of the sum of exp(logit - maximum)), and that key.
 *
 * Both filters ask for the largest key t at which the sum of some weight over {key >= t} still reaches a target: top-k
 * counts tokens up to k; top-p adds probabilities up to p. The 32 bits of t are found two at a time, in 16 passes.
 * The loops have fixed lengths because barriers must not depend on values read from memory.
 */
export function filterRow(group: RowGroup): KernelSpec {
  const { suffix, functions, spec } = rowGroupParts(group);
  return {
    name: `decode.filter.${suffix}`,
    bindings: [read("logits"), write("stats", "vec4u")],
    uniforms: [
      ["vocab", "u32"],
      ["inverseTemperature", "f32"],
      ["topK", "u32"],
      ["topP", "f32"],
    ],
    ...spec,
    body: /* wgsl */ `
${functions}
${LOWEST_CONST}
${WEIGHTS}
// How many of the thresholds base + 1 << shift, 2 << shift, 3 << shift the sums still reach.
fn reached(row: u32, lane: u32, maximum: f32, lowest: u32, base: u32, shift: u32, goal: f32, count: bool) -> u32 {
  let t = vec3u(base) + (vec3u(1u, 2u, 3u) << vec3u(shift));
  var sum = vec3f(0.0);
  for (var i = lane; i < u.vocab; i += SIZE) {
    let x = logits[row * u.vocab + i];
    let key = keyOf(x);
    let w = select(weight(x, maximum), 1.0, count);
    sum += select(vec3f(0.0), vec3f(w), (vec3u(key) >= t) & vec3<bool>(key >= lowest));
  }
  let whole = vec3f(sumOver(sum.x, lane), sumOver(sum.y, lane), sumOver(sum.z, lane));
  return dot(select(vec3u(0u), vec3u(1u), whole >= vec3f(goal)), vec3u(1u));
}

@compute fn main(@builtin(workgroup_id) at: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = at.x;
  var m = LOWEST;
  for (var i = lane; i < u.vocab; i += SIZE) { m = max(m, logits[row * u.vocab + i]); }
  let maximum = maxOver(m, lane);

  var kth = 0u;
  if (u.topK > 0u) {
    for (var bit = 0u; bit < 32u; bit += 2u) {
      let shift = 30u - bit;
      kth += reached(row, lane, maximum, 0u, kth, shift, f32(u.topK), true) << shift;
    }
  }
  var plain = 0.0;
  var kept = 0.0;
  for (var i = lane; i < u.vocab; i += SIZE) {
    let x = logits[row * u.vocab + i];
    plain += exp(max(x - maximum, -100.0));
    kept += select(0.0, weight(x, maximum), keyOf(x) >= kth);
  }
  let sum = sumOver(plain, lane);
  var mass = sumOver(kept, lane);
  var lowest = kth;
  if (u.topP < 1.0) {
    var nucleus = 0u;
    for (var bit = 0u; bit < 32u; bit += 2u) {
      let shift = 30u - bit;
      nucleus += reached(row, lane, maximum, kth, nucleus, shift, u.topP * mass, false) << shift;
    }
    lowest = min(max(kth, nucleus), keyOf(maximum)); // the largest always stays
    kept = 0.0;
    for (var i = lane; i < u.vocab; i += SIZE) {
      let x = logits[row * u.vocab + i];
      kept += select(0.0, weight(x, maximum), keyOf(x) >= lowest);
    }
    mass = sumOver(kept, lane);
  }
  if (lane == 0u) { stats[row] = vec4u(bitcast<u32>(maximum), bitcast<u32>(mass), bitcast<u32>(log(sum)), lowest); }
}`,
  };
}

/** One thread per (token, row): its probability among the kept ones, 0 for the others. */
export const keptProbabilities: KernelSpec = {
  name: "decode.filter.probabilities",
  bindings: [read("logits"), read("stats", "vec4u"), write("probability")],
  uniforms: [
    ["vocab", "u32"],
    ["inverseTemperature", "f32"],
  ],
  workgroup: [64, 1, 1],
  body: /* wgsl */ `
${WEIGHTS}
@compute fn main(@builtin(global_invocation_id) at: vec3u) {
  if (at.x >= u.vocab) { return; }
  let i = at.y * u.vocab + at.x;
  let s = stats[at.y];
  let x = logits[i];
  probability[i] = select(0.0, weight(x, bitcast<f32>(s.x)) / bitcast<f32>(s.y), keyOf(x) >= s.w);
}`,
};

/**
 * One workgroup per row of the state draws a token: every thread weighs a contiguous share of the row, then the first
 * one walks the shares, and inside one of them the tokens, up to the drawn number.
 */
export function drawToken(threads: number): KernelSpec {
  return {
    name: `decode.draw.t${threads}`,
    bindings: [
      read("logits"),
      read("stats", "vec4u"),
      write("tokens", "u32"),
      write("length", "u32"),
      write("score", "f32"),
      write("stopped", "u32"),
      write("next", "u32"),
    ],
    uniforms: [
      ["width", "u32"],
      ["rowsPerLogits", "u32"],
      ["vocab", "u32"],
      ["maxTokens", "u32"],
      ["step", "u32"],
      ["seed", "u32"],
      ["inverseTemperature", "f32"],
      ...STOP_FIELDS,
    ],
    constants: { THREADS: threads },
    workgroup: [threads, 1, 1],
    body: /* wgsl */ `
${IS_STOP}
${APPEND}
${WEIGHTS}
var<workgroup> shares: array<f32, THREADS>;

// PCG-RXS-M-XS with 32 bits (O'Neill, "PCG", 2014, section 6.3) as a hash.
fn pcg(v: u32) -> u32 {
  let s = v * 747796405u + 2891336453u;
  let w = ((s >> ((s >> 28u) + 4u)) ^ s) * 277803737u;
  return (w >> 22u) ^ w;
}

fn keptWeight(row: u32, i: u32) -> f32 {
  let x = logits[row * u.vocab + i];
  return select(0.0, weight(x, bitcast<f32>(stats[row].x)), keyOf(x) >= stats[row].w);
}

@compute fn main(@builtin(workgroup_id) at: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = at.x;
  let source = row / u.rowsPerLogits;
  let share = (u.vocab + THREADS - 1u) / THREADS;
  var sum = 0.0;
  for (var i = local * share; i < min(u.vocab, (local + 1u) * share); i++) { sum += keptWeight(source, i); }
  shares[local] = sum;
  workgroupBarrier();
  if (local != 0u || u.step >= u.maxTokens) { return; }

  var total = 0.0;
  for (var t = 0u; t < THREADS; t++) { total += shares[t]; }
  // The stream depends on the caption's number within its image, so that a batch changes no caption.
  let random = pcg(pcg(pcg(u.seed) + row % u.width) + u.step);
  var rest = f32(random >> 8u) * exp2(-24.0) * total;
  // Rounding may leave a little of the rest at the end: then it is the last share, and the last token, with any weight.
  var chosen = 0u;
  for (var t = 0u; t < THREADS; t++) {
    if (shares[t] == 0.0) { continue; }
    chosen = t;
    if (rest < shares[t]) { break; }
    rest -= shares[t];
  }
  var token = 0u;
  for (var i = chosen * share; i < min(u.vocab, (chosen + 1u) * share); i++) {
    let w = keptWeight(source, i);
    if (w == 0.0) { continue; }
    token = i;
    if (rest < w) { break; }
    rest -= w;
  }
  let s = bitcast<vec4f>(stats[source]);
  appendToken(row, token, max(logits[source * u.vocab + token] - s.x, -1e30) - s.z);
}`,
  };
}
