import type { Program } from "../runtime/program.js";
import type { Gradients } from "../runtime/tape.js";
import type { Tensor } from "../runtime/tensor.js";
import { columnSum } from "./columnsum/columnsum.js";
import { elementGrid, vectorOf } from "./grid.js";
import { addRowsKernel } from "./rows/rows.wgsl.js";

/** Adds the finished contribution `dt` (of t's size) to the gradient of t, wherever that is kept. */
export function addGradient(p: Program, gradients: Gradients, t: Tensor | undefined, dt: Tensor): void {
  if (!t?.requiresGrad) return;
  const label = `d ${t.label}`;
  const target = gradients.target(t);
  if (target) {
    columnSum(p, dt.reshape(1, t.size), { ...target, grad: target.grad.reshape(1, t.size) }, { label });
  } else {
    const same = dt.reshape(...t.shape);
    gradients.add(t, (before) => (before ? sum(p, before, same, label) : same));
  }
}

/** a + b, element by element. Without a place on the tape: `add` of rows has one. */
export function sum(p: Program, a: Tensor, b: Tensor, label: string): Tensor {
  const vector = vectorOf(a.size);
  const width = a.size / vector;
  const y = p.transient(label, a.shape);
  p.dispatch({
    kernel: addRowsKernel(vector),
    label,
    tensors: { x: a, table: b, y },
    uniforms: { count: 1, width, start: 0, period: 1 },
    workgroups: elementGrid(width, p.device),
    flops: a.size,
  });
  return y;
}
