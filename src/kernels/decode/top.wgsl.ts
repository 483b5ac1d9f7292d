import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { CANDIDATE_ORDER } from "./shared.wgsl.js";

/** The K best candidates of one thread, best first, and how a new one enters. */
const LIST = /* wgsl */ `
${CANDIDATE_ORDER}
var<private> value: array<f32, K>;
var<private> token: array<u32, K>;

fn clearList() {
  for (var j = 0u; j < K; j++) { value[j] = LOWEST; token[j] = NONE; }
}

fn insert(newValue: f32, newToken: u32) {
  var v = newValue;
  var t = newToken;
  for (var j = 0u; j < K; j++) {
    let w = value[j];
    let x = token[j];
    let wins = better(v, t, w, x);
    value[j] = select(w, v, wins);
    token[j] = select(x, t, wins);
    v = select(v, w, wins);
    t = select(t, x, wins);
  }
}

// exp(difference / temperature) of a logit and a maximum; -1e30 keeps the product finite.
fn decay(difference: f32) -> f32 { return exp(max(difference, -1e30) * u.inverseTemperature); }`;

/**
 * Stage 1: every thread scans its share of one row and leaves (maximum, sum of exp) and its K best candidates.
 * part is [rows, K + 1, parts], entry 0 = the two sums. Rows start anywhere (V = 50,257 is odd): aligned vec4 loads
 * would group the terms of a sum by where the row starts, and equal rows would differ in the last bit. Hence four
 * scalar loads, which take no longer on lavapipe.
 */
export function partialTop(k: number, threads: number): KernelSpec {
  return {
    name: `decode.top.k${k}.t${threads}`,
    bindings: [read("logits"), write("part", "vec2u")],
    uniforms: [
      ["vocab", "u32"],
      ["parts", "u32"],
      ["inverseTemperature", "f32"],
    ],
    constants: { K: k, THREADS: threads },
    workgroup: [threads, 1, 1],
    body: /* wgsl */ `
${LIST}
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = group.y;
  let mine = group.x * THREADS + local;
  let start = row * u.vocab;
  clearList();
  var m = LOWEST;
  var sum = 0.0;
  for (var i = 4u * mine; i < u.vocab; i += 4u * u.parts) {
    let at = vec4u(i) + vec4u(0u, 1u, 2u, 3u);
    let inside = at < vec4u(u.vocab);
    let q = start + min(at, vec4u(u.vocab - 1u));
    let x = select(vec4f(LOWEST), vec4f(logits[q.x], logits[q.y], logits[q.z], logits[q.w]), inside);
    let top = max(max(x.x, x.y), max(x.z, x.w));
    if (top > m) {
      sum *= decay(m - top);
      m = top;
    }
    let e = exp(max(x - vec4f(m), vec4f(-1e30)) * u.inverseTemperature);
    sum += dot(select(vec4f(0.0), e, inside), vec4f(1.0));
    if (top > value[K - 1u]) {
      for (var c = 0u; c < 4u; c++) {
        if (x[c] > value[K - 1u]) { insert(x[c], at[c]); }
      }
    }
  }
  let base = row * (K + 1u) * u.parts + mine;
  part[base] = bitcast<vec2u>(vec2f(m, sum));
  for (var j = 0u; j < K; j++) { part[base + (j + 1u) * u.parts] = vec2u(bitcast<u32>(value[j]), token[j]); }
}`,
  };
}

/** Stage 2: one workgroup merges the lists of a row. top is [rows, K + 1], entry 0 = (maximum, log of the sum). */
export function mergeTop(k: number, threads: number): KernelSpec {
  return {
    name: `decode.merge.k${k}.t${threads}`,
    bindings: [read("part", "vec2u"), write("top", "vec2u")],
    uniforms: [
      ["parts", "u32"],
      ["inverseTemperature", "f32"],
    ],
    constants: { K: k, THREADS: threads },
    workgroup: [threads, 1, 1],
    body: /* wgsl */ `
${LIST}
var<workgroup> sums: array<vec2f, THREADS>;
var<workgroup> lists: array<vec2u, THREADS * K>;

fn mergeSums(a: vec2f, b: vec2f) -> vec2f {
  let m = max(a.x, b.x);
  return vec2f(m, a.y * decay(a.x - m) + b.y * decay(b.x - m));
}

@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let row = group.x;
  clearList();
  var sum = vec2f(LOWEST, 0.0);
  for (var p = local; p < u.parts; p += THREADS) {
    let base = row * (K + 1u) * u.parts + p;
    sum = mergeSums(sum, bitcast<vec2f>(part[base]));
    for (var j = 1u; j <= K; j++) {
      let e = part[base + j * u.parts];
      if (!better(bitcast<f32>(e.x), e.y, value[K - 1u], token[K - 1u])) { break; }
      insert(bitcast<f32>(e.x), e.y);
    }
  }
  sums[local] = sum;
  for (var j = 0u; j < K; j++) { lists[local * K + j] = vec2u(bitcast<u32>(value[j]), token[j]); }
  workgroupBarrier();
  if (local != 0u) { return; }
  for (var t = 1u; t < THREADS; t++) {
    sum = mergeSums(sum, sums[t]);
    for (var j = 0u; j < K; j++) {
      let e = lists[t * K + j];
      if (!better(bitcast<f32>(e.x), e.y, value[K - 1u], token[K - 1u])) { break; }
      insert(bitcast<f32>(e.x), e.y);
    }
  }
  let base = row * (K + 1u);
  top[base] = bitcast<vec2u>(vec2f(sum.x, log(sum.y)));
  for (var j = 0u; j < K; j++) { top[base + j + 1u] = vec2u(bitcast<u32>(value[j]), token[j]); }
}`,
  };
}
