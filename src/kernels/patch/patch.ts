import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { expectShape, rowsOf } from "../check.js";
import { elementGrid, vectorOf } from "../grid.js";
import { patchesKernel, tokensKernel } from "./patch.wgsl.js";

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
  p.dispatch({
    kernel: patchesKernel(vector),
    label,
    tensors: { x: pixels, y },
    uniforms: { count, channels, size_y: size, size_x: size / vector, patch_y: patch, patch_x: patch / vector, grid },
    workgroups: elementGrid(count, p.device),
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
  return y;
}

export function patchKernels(): KernelSpec[] {
  return ([4, 1] as const).flatMap((vector) => [patchesKernel(vector), tokensKernel(vector)]);
}
