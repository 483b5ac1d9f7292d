import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { NOT_FINITE_WGSL } from "../gradnorm/gradnorm.wgsl.js";

/** Invocations of a workgroup on GPUs. */
export const GROUP = 64;

/**
 * Vectors of four that one workgroup updates. On a CPU adapter a workgroup is a subgroup, so that what a thread reads at
 * a time lies together: 7 million parameters take 13 ms on lavapipe, with workgroups of 64 18; a quarter of EACH costs 9 %.
 */
export const EACH = 512;

/** f32 words of `step`: what the update kernels need to know that is not known when they are recorded. */
export const STEP_WORDS = 5;

const STEP_WGSL = /* wgsl */ `
const SKIP = 0;   // 1: change nothing
const FACTOR = 1; // of the gradients, so that their norm stays below the limit
const RATE = 2;   // of m / (sqrt(v) * ROOT + eps)
const ROOT = 3;
const LR = 4;
`;

/**
 * One invocation decides about the step. 1 - beta^t is -expm1(t ln beta): in f32 1 - pow(0.999, 1) would be wrong by 1e-5
 * (0.999 itself is), this by 3e-7 at every t.
 */
export const stepKernel: KernelSpec = {
  name: "adamw.step",
  bindings: [read("total", "vec2u"), read("loss", "u32"), write("skips", "u32"), write("norm", "u32"), write("step")],
  uniforms: [
    ["lr", "f32"],
    ["t", "u32"],
    ["losses", "u32"],
    ["max_norm", "f32"], // 0: no limit
    ["log_beta1", "f32"],
    ["log_beta2", "f32"],
    ["corrected_root", "u32"], // 1: torch, 0: hf2021
  ],
  workgroup: [1, 1, 1],
  body: /* wgsl */ `
${NOT_FINITE_WGSL}
${STEP_WGSL}
fn one_minus_exp(x: f32) -> f32 { // x <= 0
  if (x < -0.5) { return 1.0 - exp(x); }
  var sum = 1.0; // of the series of expm1(x) / x; the next term is below 1e-9
  for (var k = 9; k > 1; k--) { sum = 1.0 + x / f32(k) * sum; }
  return -x * sum;
}

@compute fn main() {
  var faulty = total[0].y != 0u || not_finite(total[0].x);
  for (var i = 0u; i < u.losses; i++) { faulty = faulty || not_finite(loss[i]); }
  let root_of_squares = sqrt(bitcast<f32>(total[0].x));
  var factor = 1.0;
  if (u.max_norm > 0.0) { factor = min(1.0, u.max_norm / (root_of_squares + 1e-6)); }

  // updates that were skipped count for nothing: this one is number t - skips[0] of those that took place
  let t = f32(u.t - min(skips[0], u.t - 1u));
  let c1 = one_minus_exp(t * u.log_beta1);
  let root2 = sqrt(one_minus_exp(t * u.log_beta2));
  let corrected = u.corrected_root != 0u;
  step[SKIP] = select(0.0, 1.0, faulty);
  step[FACTOR] = factor;
  step[RATE] = select(u.lr * root2, u.lr, corrected) / c1;
  step[ROOT] = select(1.0, 1.0 / root2, corrected);
  step[LR] = u.lr;

  norm[0] = select(bitcast<u32>(root_of_squares), EXPONENT, faulty); // infinity
  norm[1] = select(bitcast<u32>(factor), 0u, faulty);
  skips[0] += select(0u, 1u, faulty);
  skips[1] = select(0u, skips[1] + 1u, faulty);
}`,
};

/**
 * The value is changed by one subtraction, decay and step together: 1 - lr * decay as an f32 factor would round a decay of
 * 2e-7 to 1.8e-7 or 2.4e-7.
 */
export function updateKernel(size: number): KernelSpec {
  return {
    name: `adamw.update.wg${size}`,
    bindings: [read("step"), read("grad", "vec4f"), write("value", "vec4f"), write("m", "vec4f"), write("v", "vec4f")],
    uniforms: [
      ["count", "u32"], // vectors
      ["beta1", "f32"],
      ["rest1", "f32"], // 1 - beta1
      ["beta2", "f32"],
      ["rest2", "f32"],
      ["eps", "f32"],
      ["weight_decay", "f32"],
      ["decay_last", "u32"],
    ],
    constants: { SIZE: size, EACH },
    workgroup: [size, 1, 1],
    body: /* wgsl */ `
${STEP_WGSL}
@compute fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (step[SKIP] != 0.0) { return; }
  let factor = step[FACTOR];
  let rate = step[RATE];
  let root = step[ROOT];
  let decay = step[LR] * u.weight_decay;
  let start = (id.y * groups.x + id.x) * EACH;
  let end = min(u.count, start + EACH);
  for (var i = start + lane; i < end; i += SIZE) {
    let g = factor * grad[i];
    let m1 = u.beta1 * m[i] + u.rest1 * g;
    let v1 = u.beta2 * v[i] + u.rest2 * (g * g);
    let change = rate * m1 / (sqrt(v1) * root + u.eps);
    let before = value[i];
    let decayed = select(before, before - change, u.decay_last != 0u);
    value[i] = before - (decay * decayed + change);
    m[i] = m1;
    v[i] = v1;
  }
}`,
  };
}
