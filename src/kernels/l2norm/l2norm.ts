import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { rowsOf } from "../check.js";
import { contribute } from "../contribution.js";
import { foldedGrid } from "../grid.js";
import { chooseRowGroup, ROW_GROUPS, type RowGroup } from "../rowgroup.js";
import { l2NormalizeBackwardKernel, l2NormalizeKernel } from "./l2norm.wgsl.js";

export interface L2NormalizeOptions {
  readonly label: string;
  readonly variant?: RowGroup;
}

/** y = x / ||x|| over the last axis, without epsilon (docs/facts.md 2): x [..., C] -> [..., C]. A row of zeros stays zeros. */
export function l2Normalize(p: Program, x: Tensor, options: L2NormalizeOptions): Tensor {
  const { label, variant = chooseRowGroup(p.device) } = options;
  const [rows, columns] = rowsOf(x);
  const y = p.transient(label, x.shape);
  p.dispatch({
    kernel: l2NormalizeKernel(variant),
    label,
    tensors: { x, y },
    uniforms: { rows, columns },
    workgroups: foldedGrid(rows, p.device),
    flops: 4 * x.size,
  });
  p.differentiate(y, [x], (dy, gradients) => {
    contribute(p, gradients, x, `d ${label}`, ({ tensors, uniforms }) => {
      p.dispatch({
        kernel: l2NormalizeBackwardKernel(variant),
        label: `d ${label}`,
        tensors: { x, y, dy, ...tensors },
        uniforms: { rows, columns, ...uniforms },
        workgroups: foldedGrid(rows, p.device),
        flops: 7 * x.size,
      });
    });
  });
  return y;
}

export function l2NormalizeKernels(): KernelSpec[] {
  return ROW_GROUPS.flatMap((group) => [l2NormalizeKernel(group), l2NormalizeBackwardKernel(group)]);
}
