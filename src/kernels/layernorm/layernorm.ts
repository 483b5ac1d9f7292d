import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { expectShape, rowsOf } from "../check.js";
import { foldedGrid, vectorOf } from "../grid.js";
import { chooseRowGroup, ROW_GROUPS, type RowGroup } from "../rowgroup.js";
import { layerNormKernel } from "./layernorm.wgsl.js";

export interface LayerNormOptions {
  readonly eps: number;
  readonly label: string;
  readonly variant?: RowGroup;
}

/**
 * y = (x - mean) / sqrt(variance + eps) * weight + bias over the last axis, with the biased variance.
 * x [..., C], weight [C], bias [C] -> [..., C].
 */
export function layerNorm(p: Program, x: Tensor, weight: Tensor, bias: Tensor, options: LayerNormOptions): Tensor {
  const { eps, label, variant = chooseRowGroup(p.device) } = options;
  const [rows, columns] = rowsOf(x);
  expectShape(label, weight, [columns]);
  expectShape(label, bias, [columns]);
  const vector = vectorOf(columns);
  const y = p.transient(label, x.shape);
  p.dispatch({
    kernel: layerNormKernel(variant, vector),
    label,
    tensors: { x, weight, bias, y },
    uniforms: { rows, width: columns / vector, eps },
    workgroups: foldedGrid(rows, p.device),
    flops: 8 * x.size,
  });
  return y;
}

export function layerNormKernels(): KernelSpec[] {
  return ROW_GROUPS.flatMap((group) => [layerNormKernel(group, 4), layerNormKernel(group, 1)]);
}
