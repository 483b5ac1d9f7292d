import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { foldedGrid } from "../grid.js";
import { ACTIVATIONS, type ActivationKind, activationKernel } from "./activation.wgsl.js";

// gelu of 512 x 3072 on lavapipe: 1.8 ms with 256 invocations, 2.0 with 64 (PERF A).
const KERNEL = activationKernel(256);

export interface ActivationOptions {
  readonly label: string;
}

/** y = kind(x), element by element; any shape. In models the matmul epilogue does this; here it stands alone. */
export function activation(p: Program, x: Tensor, kind: ActivationKind, { label }: ActivationOptions): Tensor {
  const y = p.transient(label, x.shape);
  const count = Math.ceil(x.size / 4);
  p.dispatch({
    kernel: KERNEL,
    label,
    tensors: { x, y },
    uniforms: { count, kind: ACTIVATIONS[kind] },
    workgroups: foldedGrid(Math.ceil(count / KERNEL.workgroup[0]), p.device),
    flops: x.size * 10,
  });
  return y;
}

export function activationKernels(): KernelSpec[] {
  return [KERNEL];
}
