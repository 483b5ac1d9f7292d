import { type KernelSpec, read, write } from "../../runtime/kernel.js";

/** Values that one invocation adds up, in the first stage (vectors of four) as in the later ones (partial sums). */
export const CHUNK = 128;

/** Invocations of a workgroup in the later stages, and in the first on GPUs. */
export const GROUP = 64;

/** Streams in which an invocation of the first stage reads. 7 million gradients on lavapipe: 1 takes 4.9 ms, 4 take 2.2. */
const STREAMS = 4;

/**
 * A partial sum is two words: a sum of squares (the bits of an f32), and whether an element was NaN or infinite. Gradients
 * are bound as words and tested by their exponent: a WGSL compiler may assume that no f32 is NaN and drop a comparison.
 */
export const NOT_FINITE_WGSL = /* wgsl */ `
const EXPONENT = 0x7f800000u;

fn not_finite(bits: u32) -> bool { return (bits & EXPONENT) == EXPONENT; }
`;

/**
 * A workgroup of `size` takes size * CHUNK vectors; neighbours in it read neighbours in memory. On a CPU adapter `size` is
 * that of a subgroup, so that what a thread reads at a time lies together.
 */
export function squaresKernel(size: number): KernelSpec {
  return {
    name: `gradnorm.squares.wg${size}`,
    bindings: [read("x", "vec4u"), write("partials", "vec2u")],
    uniforms: [
      ["count", "u32"], // vectors
      ["first", "u32"], // where in partials
    ],
    constants: { SIZE: size, TAKEN: size * CHUNK, STREAM: (size * CHUNK) / STREAMS },
    workgroup: [size, 1, 1],
    body: /* wgsl */ `
${NOT_FINITE_WGSL}
var<private> squares: vec4f;
var<private> largest: vec4u; // exponents

fn take(bits: vec4u) {
  let value = bitcast<vec4f>(bits);
  squares += value * value;
  largest = max(largest, bits & vec4u(EXPONENT));
}

@compute fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let group = id.y * groups.x + id.x;
  let start = group * TAKEN + lane;
  if (start >= u.count) { return; }
  if ((group + 1u) * TAKEN <= u.count) {
    for (var i = start; i < start + STREAM; i += SIZE) {
      ${Array.from({ length: STREAMS }, (_, s) => `take(x[i + ${s}u * STREAM]);`).join("\n      ")}
    }
  } else {
    for (var i = start; i < u.count; i += SIZE) { take(x[i]); }
  }
  let faulty = select(0u, 1u, any(largest == vec4u(EXPONENT)));
  let sum = (squares.x + squares.y) + (squares.z + squares.w);
  partials[u.first + group * SIZE + lane] = vec2u(bitcast<u32>(sum), faulty);
}`,
  };
}

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
