import { type KernelSpec, read, type UniformField, write } from "../../runtime/kernel.js";

/** Strides and offsets count elements of the bound type: vec4f, or f32 where D or an offset is not a multiple of 4. */
const UNIFORMS: readonly UniformField[] = [
  ["queries", "u32"],
  ["keys", "u32"],
  ["heads", "u32"],
  ["causal", "u32"],
  ["hasLengths", "u32"],
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

const bindings = (type: string) => [
  read("q", type),
  read("k", type),
  read("v", type),
  read("lengths", "u32"),
  write("out", type),
];

/** The inner product of two elements, by their type. */
export const INNER = {
  vec4f: /* wgsl */ `fn inner(a: vec4f, b: vec4f) -> f32 { return dot(a, b); }`,
  f32: /* wgsl */ `fn inner(a: f32, b: f32) -> f32 { return a * b; }`,
} as const;

/** Keys that query i of sequence b sees: a prefix, of which the causal one ends at key i + Tk - Tq. */
const VISIBLE_KEYS = /* wgsl */ `
fn visibleKeys(b: u32, i: u32) -> u32 {
  var n = u.keys;
  if (u.hasLengths != 0u) { n = min(n, lengths[b]); }
  if (u.causal != 0u) { n = min(n, max(i + 1u + u.keys, u.queries) - u.queries); }
  return n;
}`;

/** One invocation per query reads every key straight from storage: any D, any adapter. */
export function directKernel(D: number, element: "vec4f" | "f32"): KernelSpec {
  return {
    name: `attention.direct.${element}.d${D}`,
    bindings: bindings(element),
    uniforms: UNIFORMS,
    constants: { D, N: element === "vec4f" ? D / 4 : D },
    aliases: { Element: element },
    workgroup: [64, 1, 1],
    body: /* wgsl */ `
${VISIBLE_KEYS}
${INNER[element]}
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = group.x * 64u + local;
  let h = group.y;
  let b = group.z;
  if (i >= u.queries) { return; }
  let q0 = u.qOffset + b * u.qBatch + i * u.qRow + h * u.qHead;
  let k0 = u.kOffset + b * u.kBatch + h * u.kHead;
  let v0 = u.vOffset + b * u.vBatch + h * u.vHead;
  var query: array<Element, N>;
  var acc: array<Element, N>;
  for (var d = 0u; d < N; d++) {
    query[d] = q[q0 + d] * (1.0 / sqrt(f32(D)));
    acc[d] = Element();
  }
  var top = -3.4e38;
  var total = 0.0;
  let n = visibleKeys(b, i);
  for (var j = 0u; j < n; j++) {
    var score = 0.0;
    for (var d = 0u; d < N; d++) { score += inner(query[d], k[k0 + j * u.kRow + d]); }
    let newTop = max(top, score);
    let keep = exp(top - newTop);
    let p = exp(score - newTop);
    top = newTop;
    total = total * keep + p;
    for (var d = 0u; d < N; d++) { acc[d] = acc[d] * keep + p * v[v0 + j * u.vRow + d]; }
  }
  let o0 = ((b * u.queries + i) * u.heads + h) * N;
  let inverse = 1.0 / max(total, 1e-30);
  for (var d = 0u; d < N; d++) { out[o0 + d] = acc[d] * inverse; }
}`,
  };
}
