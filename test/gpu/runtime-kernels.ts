/** Small kernels for tests of the runtime itself. */
import { type KernelSpec, read, write } from "../../src/runtime/kernel.js";
import type { Program, Scalar } from "../../src/runtime/program.js";
import type { Tensor } from "../../src/runtime/tensor.js";

const affine: KernelSpec = {
  name: "test.affine",
  bindings: [read("x"), write("y")],
  uniforms: [
    ["count", "u32"],
    ["scale", "f32"],
    ["offset", "f32"],
  ],
  workgroup: [64, 1, 1],
  body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < u.count) { y[id.x] = u.scale * x[id.x] + u.offset; }
}`,
};

/** y = scale * x + offset. */
export function recordAffine(
  p: Program,
  x: Tensor,
  o: { readonly scale?: number | Scalar; readonly offset?: number | Scalar; readonly into?: Tensor; label?: string },
): Tensor {
  const y = o.into ?? p.transient("y", x.shape);
  p.dispatch({
    kernel: affine,
    label: o.label ?? "affine",
    tensors: { x, y },
    uniforms: { count: x.size, scale: o.scale ?? 1, offset: o.offset ?? 0 },
    workgroups: [Math.ceil(x.size / 64), 1, 1],
  });
  return y;
}

/** A kernel that takes long enough (about a second on a software adapter) for something to happen meanwhile. */
const slow: KernelSpec = {
  name: "test.slow",
  bindings: [write("y")],
  uniforms: [["rounds", "u32"]],
  workgroup: [64, 1, 1],
  body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) id: vec3u) {
  var v = y[id.x];
  for (var i = 0u; i < u.rounds; i++) { v = fract(v * 1.7 + 0.3); }
  y[id.x] = v;
}`,
};

export function recordSlow(p: Program, rounds: number): Tensor {
  const y = p.persistent("slow", [4096]);
  p.dispatch({ kernel: slow, label: "slow", tensors: { y }, uniforms: { rounds }, workgroups: [64, 1, 1] });
  return y;
}
