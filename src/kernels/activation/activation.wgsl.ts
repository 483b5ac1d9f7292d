import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { elementWgsl } from "../grid.js";

/** `gelu_new` is GPT-2's tanh form, `quick_gelu` CLIP's x sigmoid(1.702 x), `gelu` the exact one with erf. */
export type ActivationKind = "none" | "gelu_new" | "quick_gelu" | "relu" | "tanh" | "gelu";

/** Codes of `activate(kind, x)`; a uniform or a constant, so that the epilogue of one pipeline serves all kinds. */
export const ACTIVATIONS: Readonly<Record<ActivationKind, number>> = {
  none: 0,
  gelu_new: 1,
  quick_gelu: 2,
  relu: 3,
  tanh: 4,
  gelu: 5,
};

/**
 * WGSL `activate4(kind, x: vec4f)` and `activate(kind, x: f32)` for epilogues. Arguments of exp are clamped below 88,
 * where f32 overflows: WGSL may assume that there is no infinity.
 *
 * - 0.5 x (1 + tanh y) is x / (1 + exp(-2y)): one exp, and no cancellation for negative x.
 * - tanh below 0.3 is its series (relative error 1e-8); 1 - 2 / (1 + exp(2x)) would lose half its digits there.
 * - NaN stays NaN, or training would not see it: relu, and tanh with its clamped argument, tell it by its bits, since a
 *   comparison may be compiled as if there were none. Elsewhere the unclamped x is a factor.
 * - erfc(z) = t P(t) exp(-z^2) with t = 1 / (1 + 0.38 z); P fitted on [0, 9], relative error 4e-8.
 */
export const ACTIVATION_WGSL = /* wgsl */ `
fn tanh4(x: vec4f) -> vec4f {
  let s = x * x;
  let near = x * (1.0 + s * (-0.33333333 + s * (0.13333333 + s * (-0.05396825 + s * 0.021869489))));
  let far = 1.0 - 2.0 / (1.0 + exp(2.0 * clamp(x, vec4f(-10.0), vec4f(10.0))));
  let beyond = (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) - vec4u(0x3e99999au); // 0.3; NaN lies above infinity
  return select(near, far, beyond <= vec4u(0x7f800000u - 0x3e99999au));
}

// 1 - Phi(|x|), Phi being the normal distribution
fn normalTail4(x: vec4f) -> vec4f {
  let z = min(abs(x), vec4f(13.0)) * 0.70710678;
  let t = 1.0 / (1.0 + 0.38 * z);
  let low = 0.21440808 + t * (0.2139644 + t * (0.20360983 + t * (0.13972762 + t * 0.22766015)));
  let high = -0.15823901 + t * (0.36119832 + t * (-0.26105532 + t * 0.05872595));
  let t2 = t * t;
  return 0.5 * t * (low + t2 * t2 * t * high) * exp(-z * z);
}

fn gelu4(x: vec4f) -> vec4f {
  let tail = x * normalTail4(x);
  return select(tail, x - tail, x > vec4f(0.0));
}

fn activate4(kind: u32, x: vec4f) -> vec4f {
  switch kind {
    case 1u: {
      let a = clamp(x, vec4f(-10.0), vec4f(10.0));
      return x / (1.0 + exp(-1.5957691 * (a + 0.044715 * a * a * a)));
    }
    case 2u: { return x / (1.0 + exp(clamp(-1.702 * x, vec4f(-80.0), vec4f(80.0)))); }
    // from -0 to -infinity
    case 3u: { return select(x, vec4f(0.0), bitcast<vec4u>(x) - vec4u(0x80000000u) <= vec4u(0x7f800000u)); }
    case 4u: { return tanh4(x); }
    case 5u: { return gelu4(x); }
    default: { return x; }
  }
}

fn activate(kind: u32, x: f32) -> f32 {
  return activate4(kind, vec4f(x)).x;
}
`;

/** y = activate(kind, x) over vec4s; the last one may reach into the padding of the value. */
export function activationKernel(workgroup: number): KernelSpec {
  return {
    name: `activation.wg${workgroup}`,
    bindings: [read("x", "vec4f"), write("y", "vec4f")],
    uniforms: [
      ["count", "u32"],
      ["kind", "u32"],
    ],
    workgroup: [workgroup, 1, 1],
    body: /* wgsl */ `${elementWgsl(workgroup)}${ACTIVATION_WGSL}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i < u.count) { y[i] = activate4(u.kind, x[i]); }
}`,
  };
}

/** `slope4(kind, x)`: the derivative of `activate4`. relu'(0) is 0. */
const SLOPE_WGSL = /* wgsl */ `
fn sigmoid4(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exp(clamp(-x, vec4f(-80.0), vec4f(80.0))));
}

fn slope4(kind: u32, x: vec4f) -> vec4f {
  let a = clamp(x, vec4f(-13.0), vec4f(13.0)); // every slope is constant beyond, to the last bit of f32
  switch kind {
    case 1u: {
      // y = x s(v), v = 1.5957691 (x + 0.044715 x^3)
      let s = sigmoid4(1.5957691 * (a + 0.044715 * a * a * a));
      return s + a * s * (1.0 - s) * (1.5957691 + 0.21406859 * a * a);
    }
    case 2u: {
      let b = clamp(x, vec4f(-60.0), vec4f(60.0));
      let s = sigmoid4(1.702 * b);
      return s + 1.702 * b * s * (1.0 - s);
    }
    case 3u: { return select(vec4f(0.0), vec4f(1.0), x > vec4f(0.0)); }
    case 4u: {
      let y = tanh4(x);
      return (1.0 - y) * (1.0 + y);
    }
    case 5u: {
      let tail = normalTail4(a);
      return select(tail, 1.0 - tail, a > vec4f(0.0)) + a * 0.39894228 * exp(-0.5 * a * a);
    }
    default: { return vec4f(1.0); }
  }
}
`;

/** dx = dy slope(kind, x). */
export function activationBackwardKernel(workgroup: number): KernelSpec {
  return {
    name: `activation.backward.wg${workgroup}`,
    bindings: [read("x", "vec4f"), read("dy", "vec4f"), write("dx", "vec4f")],
    uniforms: [
      ["count", "u32"],
      ["kind", "u32"],
    ],
    workgroup: [workgroup, 1, 1],
    body: /* wgsl */ `${elementWgsl(workgroup)}${ACTIVATION_WGSL}${SLOPE_WGSL}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i < u.count) { dx[i] = dy[i] * slope4(u.kind, x[i]); }
}`,
  };
}
