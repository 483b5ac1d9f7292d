import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { GradientTarget } from "../../runtime/tape.js";
import type { Tensor } from "../../runtime/tensor.js";
import { rowsOf } from "../check.js";
import { VECTOR_TYPE, type Vector, vectorOf } from "../grid.js";

/** Rows that one invocation adds up; a longer column is summed in stages, always in the same order. */
const CHUNK = 64;

/**
 * target.grad[c] (+)= sum over rows of x [rows, C]: the gradient of a bias. In stages and without atomics, so that two
 * runs agree to the bit.
 */
export function columnSum(p: Program, x: Tensor, target: GradientTarget, { label }: { readonly label: string }): void {
  const [, columns] = rowsOf(x);
  let rest = x;
  while (rowsOf(rest)[0] > CHUNK) {
    const partial = p.transient(`${label} partial`, [Math.ceil(rowsOf(rest)[0] / CHUNK), columns]);
    stage(p, rest, partial, 0, label);
    rest = partial;
  }
  stage(p, rest, target.grad, target.accumulate, label);
}

function stage(p: Program, x: Tensor, y: Tensor, accumulate: GradientTarget["accumulate"], label: string): void {
  const [rows, columns] = rowsOf(x);
  const vector = vectorOf(columns);
  const width = columns / vector;
  p.dispatch({
    kernel: columnSumKernel(vector),
    label,
    tensors: { x, y },
    uniforms: { rows, width, accumulate },
    workgroups: [Math.ceil(width / 64), Math.ceil(rows / CHUNK), 1],
    flops: x.size,
  });
}

function columnSumKernel(vector: Vector): KernelSpec {
  const V = VECTOR_TYPE[vector];
  return {
    name: `columnsum.${V}`,
    bindings: [read("x", V), write("y", V)],
    uniforms: [
      ["rows", "u32"],
      ["width", "u32"],
      ["accumulate", "u32"],
    ],
    aliases: { V },
    constants: { CHUNK },
    workgroup: [64, 1, 1],
    body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let column = id.x;
  if (column >= u.width) { return; }
  var sum = V();
  let end = min(u.rows, (group.y + 1u) * CHUNK);
  for (var row = group.y * CHUNK; row < end; row++) { sum += x[row * u.width + column]; }
  let at = group.y * u.width + column;
  if (u.accumulate != 0u) { sum += y[at]; }
  y[at] = sum;
}`,
  };
}

export function columnSumKernels(): KernelSpec[] {
  return [columnSumKernel(4), columnSumKernel(1)];
}
