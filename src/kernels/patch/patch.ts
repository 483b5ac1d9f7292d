import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { expectShape, rowsOf } from "../check.js";
import { contribute } from "../contribution.js";
import { elementGrid, vectorOf } from "../grid.js";
import { copyRowsBackward, type RowMap } from "../rows/rows.js";
import { patchesBackwardKernel, patchesKernel, tokensKernel } from "./patch.wgsl.js";

export interface PatchesOptions {
  readonly channels: number;
  /** Side of the square image, S. */
  readonly size: number;
  /** Side of the square patch, P. */
  readonly patch: number;
  readonly label: string;
}

/**
 * The rows that a P x P convolution of stride P multiplies: pixels [B, channels, S, S] -> [B*n, channels*P*P] with
 * n = floor(S/P)^2 patches row by row and the inner order channel, y, x of a convolution weight [out, channels, P, P].
 */
export function patches(p: Program, pixels: Tensor, { channels, size, patch, label }: PatchesOptions): Tensor {
  const batch = pixels.rows;
  const grid = Math.floor(size / patch);
  expectShape(label, pixels, [batch, channels, size, size]);
  if (grid < 1) throw new RangeError(`${label}: no patch of ${patch} pixels fits in an image of ${size}`);
  const vector = vectorOf(size, patch);
  const y = p.transient(label, [batch * grid * grid, channels * patch * patch]);
  const count = y.size / vector;
  const sizes = { channels, size_y: size, size_x: size / vector, patch_y: patch, patch_x: patch / vector, grid };
  p.dispatch({
    kernel: patchesKernel(vector),
    label,
    tensors: { x: pixels, y },
    uniforms: { count, ...sizes },
    workgroups: elementGrid(count, p.device),
  });
  p.differentiate(y, [pixels], (dy, gradients) => {
    const all = pixels.size / vector;
    contribute(p, gradients, pixels, `d ${label}`, ({ tensors, uniforms }) => {
      p.dispatch({
        kernel: patchesBackwardKernel(vector),
        label: `d ${label}`,
        tensors: { dy, ...tensors },
        uniforms: { count: all, ...sizes, ...uniforms },
        workgroups: elementGrid(all, p.device),
      });
    });
  });
  return y;
}

/**
 * CLIP's vision tokens: patch embeddings [B*n, C], class token [C], positions [n + 1, C] -> [B*(n + 1), C], the class
 * token first, positions added.
 */
export function assembleTokens(
  p: Program,
  patchOut: Tensor,
  cls: Tensor,
  positions: Tensor,
  { label }: { readonly label: string },
): Tensor {
  const [rows, columns] = rowsOf(patchOut);
  const length = positions.rows;
  const batch = rows / (length - 1);
  expectShape(label, cls, [columns]);
  expectShape(label, positions, [length, columns]);
  if (!Number.isInteger(batch)) {
    throw new RangeError(`${label}: ${rows} patches are no whole images of ${length - 1} (${positions.label})`);
  }
  const vector = vectorOf(columns);
  const y = p.transient(label, [batch * length, columns]);
  const count = y.size / vector;
  p.dispatch({
    kernel: tokensKernel(vector),
    label,
    tensors: { x: patchOut, cls, positions, y },
    uniforms: { count, width: columns / vector, length },
    workgroups: elementGrid(count, p.device),
    flops: y.size,
  });
  p.differentiate(y, [patchOut, cls, positions], (dy, gradients) => {
    // In the terms of copied rows: every image has the class token once, the patches behind it, and all positions.
    const back = (t: Tensor, name: string, map: RowMap) =>
      copyRowsBackward(p, gradients, t, dy, `d ${label}${name}`, map);
    const n = length - 1;
    back(patchOut, "", { count: rows, period: n, from: [0, n], to: [1, length] });
    back(cls.reshape(1, columns), ".class", { count: batch, period: 1, from: [0, 0], to: [0, length] });
    back(positions, ".positions", { count: batch * length, period: length, from: [0, 0], to: [0, length] });
  });
  return y;
}

export function patchKernels(): KernelSpec[] {
  return ([4, 1] as const).flatMap((vector) => [
    patchesKernel(vector),
    patchesBackwardKernel(vector),
    tokensKernel(vector),
  ]);
}
