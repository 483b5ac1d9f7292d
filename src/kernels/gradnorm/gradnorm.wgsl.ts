import { type KernelSpec, read, write } from "../../runtime/kernel.js";

/** Values that one invocation adds up, in the first stage (vectors of four) as in the later ones (partial sums). */
export const CHUNK = 64;

export const GROUP = 64;

/**
 * A partial sum is two words: a sum of squares (the bits of an f32), and whether an element was NaN or infinite. Gradients
 * are bound as words and tested by their exponent: a WGSL compiler may assume that no f32 is NaN and drop a comparison.
 */
export const NOT_FINITE_WGSL = /* wgsl */ `
const EXPONENT = 0x7f800000u;

fn not_finite(bits: u32) -> bool { return (bits & EXPONENT) == EXPONENT; }
`;

/** A group takes GROUP * CHUNK vectors; neighbours in it read neighbours in memory. */
export const squaresKernel: KernelSpec = {
  name: "gradnorm.squares",
  bindings: [read("x", "vec4u"), write("partials", "vec2u")],
  uniforms: [
    ["count", "u32"], // vectors
    ["first", "u32"], // where in partials
  ],
  constants: { CHUNK, GROUP },
  workgroup: [GROUP, 1, 1],
  body: /* wgsl */ `
${NOT_FINITE_WGSL}
@compute fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = id.y * groups.x + id.x;
  let start = group * GROUP * CHUNK + lane;
  if (start >= u.count) { return; }
  let end = min(u.count, start + GROUP * CHUNK);
  var sum = vec4f();
  var faulty = 0u;
  for (var i = start; i < end; i += GROUP) {
    let bits = x[i];
    let value = bitcast<vec4f>(bits);
    sum += value * value;
    if (any((bits & vec4u(EXPONENT)) == vec4u(EXPONENT))) { faulty = 1u; }
  }
  partials[u.first + group * GROUP + lane] = vec2u(bitcast<u32>((sum.x + sum.y) + (sum.z + sum.w)), faulty);
}`,
};

export const foldKernel: KernelSpec = {
  name: "gradnorm.fold",
  bindings: [read("x", "vec2u"), write("y", "vec2u")],
  uniforms: [["count", "u32"]],
  constants: { CHUNK },
  workgroup: [GROUP, 1, 1],
  body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) id: vec3u) {
  let start = id.x * CHUNK;
  if (start >= u.count) { return; }
  var sum = 0.0;
  var faulty = 0u;
  for (var i = start; i < min(u.count, start + CHUNK); i++) {
    sum += bitcast<f32>(x[i].x);
    faulty |= x[i].y;
  }
  y[id.x] = vec2u(bitcast<u32>(sum), faulty);
}`,
};
