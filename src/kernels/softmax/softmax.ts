import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { rowsOf } from "../check.js";
import { contribute } from "../contribution.js";
import { foldedGrid } from "../grid.js";
import { chooseRowGroup, ROW_GROUPS, type RowGroup } from "../rowgroup.js";
import { softmaxBackwardKernel, softmaxKernel } from "./softmax.wgsl.js";

export interface SoftmaxOptions {
  readonly label: string;
  readonly variant?: RowGroup;
}

/** y = exp(x) / sum exp(x) over the last axis: x [..., C] -> [..., C]. Attention has its own, fused. */
export function softmax(p: Program, x: Tensor, options: SoftmaxOptions): Tensor {
  return record(p, x, options, 0);
}

/** y = x - log sum exp(x) over the last axis: x [..., C] -> [..., C]. */
export function logSoftmax(p: Program, x: Tensor, options: SoftmaxOptions): Tensor {
  return record(p, x, options, 1);
}

function record(p: Program, x: Tensor, options: SoftmaxOptions, logarithm: 0 | 1): Tensor {
  const { label, variant = chooseRowGroup(p.device) } = options;
  const [rows, columns] = rowsOf(x);
  const y = p.transient(label, x.shape);
  p.dispatch({
    kernel: softmaxKernel(variant),
    label,
    tensors: { x, y },
    uniforms: { rows, columns, logarithm },
    workgroups: foldedGrid(rows, p.device),
    flops: 5 * x.size,
  });
  p.differentiate(y, [x], (dy, gradients) => {
    contribute(p, gradients, x, `d ${label}`, ({ tensors, uniforms }) => {
      p.dispatch({
        kernel: softmaxBackwardKernel(variant),
        label: `d ${label}`,
        tensors: { y, dy, ...tensors },
        uniforms: { rows, columns, logarithm, ...uniforms },
        workgroups: foldedGrid(rows, p.device),
        flops: 4 * x.size,
      });
    });
  });
  return y;
}

export function softmaxKernels(): KernelSpec[] {
  return ROW_GROUPS.flatMap((group) => [softmaxKernel(group), softmaxBackwardKernel(group)]);
}
