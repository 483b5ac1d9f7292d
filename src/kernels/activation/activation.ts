import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { addGradient } from "../gradient.js";
import { foldedGrid } from "../grid.js";
import { ACTIVATIONS, type ActivationKind, activationBackwardKernel, activationKernel } from "./activation.wgsl.js";

// gelu of 512 x 3072 on lavapipe: 1.8 ms with 256 invocations, 2.0 with 64 (docs/facts.md 11).
const KERNEL = activationKernel(256);
const BACKWARD = activationBackwardKernel(256);

export interface ActivationOptions {
  readonly label: string;
}

/**
 * y = kind(x), element by element; any shape. In models the matmul epilogue does this, except where a gradient is wanted:
 * the backward needs x, which an epilogue would not keep.
 */
export function activation(p: Program, x: Tensor, kind: ActivationKind, { label }: ActivationOptions): Tensor {
  const y = p.transient(label, x.shape);
  p.dispatch({ kernel: KERNEL, label, tensors: { x, y }, ...elementwise(p, x, kind) });
  p.differentiate(y, [x], (dy, gradients) => addGradient(p, gradients, x, backward(p, x, dy, kind, label)));
  return y;
}

/** dx = dy kind'(x). */
function backward(p: Program, x: Tensor, dy: Tensor, kind: ActivationKind, label: string): Tensor {
  const dx = p.transient(`d ${label}`, x.shape);
  p.dispatch({ kernel: BACKWARD, label: `d ${label}`, tensors: { x, dy, dx }, ...elementwise(p, x, kind) });
  return dx;
}

function elementwise(p: Program, x: Tensor, kind: ActivationKind) {
  const count = Math.ceil(x.size / 4);
  return {
    uniforms: { count, kind: ACTIVATIONS[kind] },
    workgroups: foldedGrid(Math.ceil(count / KERNEL.workgroup[0]), p.device),
    flops: x.size * 10,
  };
}

export function activationKernels(): KernelSpec[] {
  return [KERNEL, BACKWARD];
}
