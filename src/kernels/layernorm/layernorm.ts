import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Gradients, GradientTarget } from "../../runtime/tape.js";
import type { Tensor } from "../../runtime/tensor.js";
import { expectShape, rowsOf } from "../check.js";
import { sizeClass } from "../choice.js";
import { columnSum } from "../columnsum/columnsum.js";
import { contribute } from "../contribution.js";
import { foldedGrid, vectorOf } from "../grid.js";
import { chooseRowGroup, ROW_GROUPS, type RowGroup } from "../rowgroup.js";
import { layerNormBackwardKernel, layerNormKernel, layerNormWeightKernel, WEIGHT_CHUNK } from "./layernorm.wgsl.js";

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
  const { eps, label } = options;
  const [rows, columns] = rowsOf(x);
  const variant = options.variant ?? chooseRowGroup(p.device, layerNormClass(columns));
  expectShape(label, weight, [columns]);
  expectShape(label, bias, [columns]);
  const vector = vectorOf(columns);
  const y = p.transient(label, x.shape);
  const stats = p.transient(`${label}.stats`, [rows, 3]);
  p.dispatch({
    kernel: layerNormKernel(variant, vector),
    label,
    tensors: { x, weight, bias, y, stats },
    uniforms: { rows, width: columns / vector, eps },
    workgroups: foldedGrid(rows, p.device),
    flops: 8 * x.size,
  });
  p.differentiate(y, [x, weight, bias], (dy, gradients) => {
    inputGradient(p, { x, weight, stats, dy, label, variant }, gradients);
    const dweight = gradients.parameter(weight);
    if (dweight) weightGradient(p, x, stats, dy, dweight, `d ${label}.weight`);
    const dbias = gradients.parameter(bias);
    if (dbias) columnSum(p, dy, dbias, { label: `d ${label}.bias` });
  });
  return y;
}

/** The class that rows of so many columns are measured in. */
export function layerNormClass(columns: number): string {
  return `layernorm ${sizeClass(columns)}`;
}

interface InputGradient {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly stats: Tensor;
  readonly dy: Tensor;
  readonly label: string;
  readonly variant: RowGroup;
}

function inputGradient(p: Program, o: InputGradient, gradients: Gradients): void {
  const { x, weight, stats, dy, label, variant } = o;
  const [rows, columns] = rowsOf(x);
  const vector = vectorOf(columns);
  contribute(p, gradients, x, `d ${label}`, ({ tensors, uniforms }) => {
    p.dispatch({
      kernel: layerNormBackwardKernel(variant, vector),
      label: `d ${label}`,
      tensors: { x, weight, dy, stats, ...tensors },
      uniforms: { rows, width: columns / vector, ...uniforms },
      workgroups: foldedGrid(rows, p.device),
      flops: 11 * x.size,
    });
  });
}

function weightGradient(p: Program, x: Tensor, stats: Tensor, dy: Tensor, target: GradientTarget, label: string): void {
  const [rows, columns] = rowsOf(x);
  const vector = vectorOf(columns);
  const width = columns / vector;
  const chunks = Math.ceil(rows / WEIGHT_CHUNK);
  const partial = p.transient(`${label} partial`, [chunks, columns]);
  p.dispatch({
    kernel: layerNormWeightKernel(vector),
    label,
    tensors: { x, dy, stats, partial },
    uniforms: { rows, width },
    workgroups: [Math.ceil(width / 64), chunks, 1],
    flops: 5 * x.size,
  });
  columnSum(p, partial, target, { label });
}

export function layerNormKernels(): KernelSpec[] {
  return ([4, 1] as const).flatMap((vector) => [
    ...ROW_GROUPS.flatMap((group) => [layerNormKernel(group, vector), layerNormBackwardKernel(group, vector)]),
    layerNormWeightKernel(vector),
  ]);
}
