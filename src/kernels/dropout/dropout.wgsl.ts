import { type KernelSpec, read, type UniformField } from "../../runtime/kernel.js";
import { contributionParts } from "../contribution.js";
import { ELEMENT_WGSL, ELEMENTS_PER_GROUP } from "../grid.js";

/** What `keep4` and its callers read of `u`; `dropoutUniforms` gives the values. */
export const DROPOUT_FIELDS: readonly UniformField[] = [
  ["seed", "u32"],
  ["site", "u32"],
  ["threshold", "u32"],
  ["scale", "f32"],
];

/**
 * Which of four elements are kept. That is computed from (seed, site, i) in whole numbers, so no mask is stored and every
 * device makes the same one. Two rounds with a key before each: with one, two sites would see shifted pieces of a single
 * sequence. The second key is moved by 0x9e3779b9 away from the first: at i = site both rounds would else see the same
 * number. `mix4` is a bijection of 32 bits whose constants are the published "lowbias32" (github.com/skeeto/hash-prospector).
 */
export const KEEP_WGSL = /* wgsl */ `
fn mix4(v: vec4u) -> vec4u {
  var x = v;
  x = (x ^ (x >> vec4u(16u))) * 0x7feb352du;
  x = (x ^ (x >> vec4u(15u))) * 0x846ca68bu;
  return x ^ (x >> vec4u(16u));
}

fn keep4(i: vec4u) -> vec4<bool> {
  let key = mix4(vec4u(u.seed));
  let stream = mix4((key ^ vec4u(u.site)) + 0x9e3779b9u);
  return mix4(mix4(i + key) + stream) >= vec4u(u.threshold);
}
`;

/** dx = x scale where the element is kept, else 0; forward and backward (with dy for x) alike. */
export function dropoutKernel(): KernelSpec {
  const to = contributionParts(4);
  return {
    name: "dropout",
    bindings: [read("x", "vec4f"), ...to.bindings],
    uniforms: [["count", "u32"], ...DROPOUT_FIELDS, ...to.uniforms],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    aliases: to.aliases,
    body: /* wgsl */ `${ELEMENT_WGSL}${to.functions}${KEEP_WGSL}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i >= u.count) { return; }
  contribute(i, select(vec4f(0.0), x[i] * u.scale, keep4(4u * i + vec4u(0u, 1u, 2u, 3u))));
}`,
  };
}
