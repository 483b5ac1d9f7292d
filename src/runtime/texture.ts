import type { BufferToTexture } from "./encode.js";
import type { Dispatch } from "./program.js";
import { type Storage, type Tensor, whole } from "./tensor.js";

/*
 * Texture bindings (see `texture` in kernel.ts): before a dispatch its matrix is copied to the one texture of its program.
 * The GPU's own copy takes 1 ns a texel on lavapipe, a kernel with textureStore 10. Dispatches that read the same matrix
 * one after the other, as the gradients of an input and of a weight do, have one copy.
 */

/** WebGPU wants rows of whole 256 bytes in a buffer that is copied to a texture. */
const ROW_VALUES = 64;
/** WebGPU's default limit of a texture's width and height. */
const MAX_TEXELS = 8192;
/** More texels in a row than values need: rows a multiple of 4 KiB apart would want the same lines of a processor's cache. */
const PADDING = 4;

export interface MatrixSize {
  readonly rows: number;
  readonly columns: number;
}

/** Whether a matrix can be copied to a texture. */
export function fitsTexture({ rows, columns }: MatrixSize): boolean {
  return columns % ROW_VALUES === 0 && rows <= MAX_TEXELS && columns / 4 + PADDING <= MAX_TEXELS;
}

function matrixSize(t: Tensor): MatrixSize {
  const columns = t.shape.at(-1)!;
  return { rows: t.size / columns, columns };
}

/** The matrix to copy before each dispatch; none where it needs none, or finds what the dispatch before it needed. */
export function planCopies(dispatches: readonly Dispatch[]): readonly (Tensor | undefined)[] {
  let held: { readonly storage: Storage; readonly columns: number } | undefined;
  return dispatches.map(({ kernel, tensors }) => {
    const binding = kernel.bindings.find(({ access }) => access === "texture");
    const matrix = binding && whole(tensors[binding.name]!);
    let copy: Tensor | undefined;
    if (matrix) {
      const { storage } = matrix;
      const { columns } = matrixSize(matrix);
      if (held?.storage !== storage || held.columns !== columns) copy = matrix;
      held = { storage, columns };
    }
    const written = kernel.bindings.filter(({ access }) => access === "read_write").map((b) => whole(tensors[b.name]!));
    if (held && written.some(({ storage }) => overlap(storage, held!.storage))) held = undefined;
    return copy;
  });
}

/** Whether writing one may change the other: two persistent tensors may lie in one buffer. */
function overlap(a: Storage, b: Storage): boolean {
  if (a.kind === "transient" || b.kind === "transient") return a === b;
  return a.parts.some((p) => b.parts.some((q) => p.buffer === q.buffer));
}

/** Texels that hold each of some matrices, one at a time; nothing for none. */
export function textureSize(matrices: readonly Tensor[]): readonly [width: number, height: number] | undefined {
  if (matrices.length === 0) return undefined;
  const sizes = matrices.map(matrixSize);
  return [Math.max(...sizes.map((s) => s.columns)) / 4 + PADDING, Math.max(...sizes.map((s) => s.rows))];
}

export function copyTo(texture: GPUTexture, matrix: Tensor, { buffer, offset }: GPUBufferBinding): BufferToTexture {
  const { rows, columns } = matrixSize(matrix);
  return { from: { buffer, offset, bytesPerRow: columns * 4 }, to: { texture }, size: [columns / 4, rows] };
}
