import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { INNER } from "./attention.wgsl.js";

/** Copies k and v of packed qkv [B*T, 3C] into rows b*rowStride, positions start.., of the caches. C counts elements. */
export function storeKvKernel(element: "vec4f" | "f32"): KernelSpec {
  return {
    name: `attention.storeKv.${element}`,
    bindings: [read("qkv", element), write("k", element), write("v", element)],
    uniforms: [
      ["C", "u32"],
      ["T", "u32"],
      ["start", "u32"],
      ["capacity", "u32"],
      ["rowStride", "u32"],
    ],
    workgroup: [64, 1, 1],
    body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  let t = id.y;
  let b = id.z;
  if (c >= u.C || u.start + t >= u.capacity) { return; }
  let source = (b * u.T + t) * 3u * u.C + c;
  let place = (b * u.rowStride * u.capacity + u.start + t) * u.C + c;
  k[place] = qkv[source + u.C];
  v[place] = qkv[source + 2u * u.C];
}`,
  };
}

const cachedUniforms = [
  ["heads", "u32"],
  ["tokens", "u32"],
  ["keys", "u32"],
  ["capacity", "u32"],
] as const;

/**
 * A workgroup of 64 for one query of one head. Blocks of 64 keys: each invocation scores one key, then owns dimensions
 * of the output, so that neighbours read neighbouring values. `v` and `out` are scalar for that reason.
 */
export function cachedGroupKernel(D: number, element: "vec4f" | "f32"): KernelSpec {
  return {
    name: `attention.cached.group.${element}.d${D}`,
    bindings: [read("qkv", element), read("k", element), read("v"), read("ancestry", "u32"), write("out")],
    uniforms: cachedUniforms,
    constants: { D, N: element === "vec4f" ? D / 4 : D, OWN: Math.ceil(D / 64) },
    workgroup: [64, 1, 1],
    body: /* wgsl */ `
var<workgroup> scores: array<f32, 64>;
var<workgroup> places: array<u32, 64>;
${INNER[element]}
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let h = group.x;
  let t = group.y;
  let r = group.z;
  let H = u.heads;
  let n = u.keys + t + 1u - u.tokens;
  let q0 = ((r * u.tokens + t) * 3u * H + h) * N;
  var acc: array<f32, OWN>;
  var top = -3.4e38;
  var total = 0.0;
  for (var first = 0u; first < n; first += 64u) {
    let count = min(64u, n - first);
    let j = min(first + local, n - 1u);
    let place = (ancestry[r * u.capacity + j] * u.capacity + j) * H + h;
    var score = 0.0;
    for (var d = 0u; d < N; d++) { score += inner(qkv[q0 + d], k[place * N + d]); }
    score *= 1.0 / sqrt(f32(D));
    scores[local] = score;
    places[local] = place;
    workgroupBarrier();
    var newTop = top;
    for (var x = 0u; x < count; x++) { newTop = max(newTop, scores[x]); }
    workgroupBarrier();
    scores[local] = exp(score - newTop);
    workgroupBarrier();
    let keep = exp(top - newTop);
    top = newTop;
    total *= keep;
    for (var o = 0u; o < OWN; o++) { acc[o] *= keep; }
    for (var x = 0u; x < count; x++) {
      total += scores[x];
      for (var o = 0u; o < OWN; o++) {
        let d = min(local + o * 64u, D - 1u);
        acc[o] += scores[x] * v[places[x] * D + d];
      }
    }
    workgroupBarrier();
  }
  let o0 = ((r * u.tokens + t) * H + h) * D;
  for (var o = 0u; o < OWN; o++) {
    let d = local + o * 64u;
    if (d < D) { out[o0 + d] = acc[o] / max(total, 1e-30); }
  }
}`,
  };
}

/**
 * CPU adapters: one subgroup for one query of one head. Lanes own vec4s of the head, so that a key is read by all of
 * them at once; every LANES keys they share the softmax's bookkeeping, a lane per key. D is a multiple of 4. For 5 rows,
 * 12 heads of 64 and 60 keys: 0.15 ms of both cores (lavapipe, 8 lanes); a lane per key with its own sums took 0.37 ms.
 */
export function cachedLanesKernel(D: number, lanes: number): KernelSpec {
  return {
    name: `attention.cached.lanes${lanes}.d${D}`,
    bindings: [
      read("qkv", "vec4f"),
      read("k", "vec4f"),
      read("v", "vec4f"),
      read("ancestry", "u32"),
      write("out", "vec4f"),
    ],
    uniforms: cachedUniforms,
    constants: { D, N: D / 4, LANES: lanes, OWN: Math.ceil(D / 4 / lanes) },
    workgroup: [lanes, 1, 1],
    enables: ["subgroups"],
    body: /* wgsl */ `
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let h = group.x;
  let t = group.y;
  let r = group.z;
  let H = u.heads;
  let n = u.keys + t + 1u - u.tokens;
  let q0 = ((r * u.tokens + t) * 3u * H + h) * N;
  var query: array<vec4f, OWN>;
  var acc: array<vec4f, OWN>;
  for (var o = 0u; o < OWN; o++) {
    let d = lane + o * LANES;
    query[o] = select(vec4f(), qkv[q0 + min(d, N - 1u)] * (1.0 / sqrt(f32(D))), d < N);
  }
  var top = -3.4e38;
  var total = 0.0;
  for (var first = 0u; first < n; first += LANES) {
    let last = min(first + LANES, n); // a loop of at most LANES turns from 0 would be unrolled: 1.7x slower
    let j = min(first + lane, n - 1u);
    let place = ((ancestry[r * u.capacity + j] * u.capacity + j) * H + h) * N;
    var score = -3.4e38;
    for (var x = first; x < last; x++) {
      let start = subgroupShuffle(place, x - first);
      var products = vec4f();
      for (var o = 0u; o < OWN; o++) { products += query[o] * k[start + min(lane + o * LANES, N - 1u)]; }
      var sum = dot(products, vec4f(1.0));
      for (var step = LANES / 2u; step > 0u; step /= 2u) { sum += subgroupShuffleXor(sum, step); }
      score = select(score, sum, x - first == lane);
    }
    var newTop = max(top, score);
    for (var step = LANES / 2u; step > 0u; step /= 2u) { newTop = max(newTop, subgroupShuffleXor(newTop, step)); }
    let p = select(0.0, exp(score - newTop), first + lane < n);
    let keep = exp(top - newTop);
    top = newTop;
    total = total * keep + p;
    for (var o = 0u; o < OWN; o++) { acc[o] *= keep; }
    for (var x = first; x < last; x++) {
      let start = subgroupShuffle(place, x - first);
      let weight = subgroupShuffle(p, x - first);
      for (var o = 0u; o < OWN; o++) { acc[o] += weight * v[start + min(lane + o * LANES, N - 1u)]; }
    }
  }
  for (var step = LANES / 2u; step > 0u; step /= 2u) { total += subgroupShuffleXor(total, step); }
  let o0 = ((r * u.tokens + t) * H + h) * N;
  for (var o = 0u; o < OWN; o++) {
    let d = lane + o * LANES;
    if (d < N) { out[o0 + d] = acc[o] / max(total, 1e-30); }
  }
}`,
  };
}
