import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Gradients } from "../../runtime/tape.js";
import type { Tensor } from "../../runtime/tensor.js";
import { rowsOf } from "../check.js";
import { contribute } from "../contribution.js";
import { elementGrid, vectorOf } from "../grid.js";
import { type AddPositionsOptions, addPositions } from "../rows/rows.js";
import {
  CLEAR_CHUNK,
  embeddingBackwardKernel,
  embeddingClearKernel,
  embeddingKernel,
  embeddingLinksKernel,
  type TableKind,
} from "./embedding.wgsl.js";

export interface EmbeddingOptions {
  /** Position embeddings [P, C] to add: row start + i % period to output row i. */
  readonly positions?: { readonly table: Tensor } & Omit<AddPositionsOptions, "label">;
  readonly label: string;
}

/**
 * y[i] = table[ids[i]] (+ positions): ids u32 [n], table [V, C] in f32, f16 or q8 -> f32 [n, C].
 * An id that is not below V gives a row of zeros. A table in several parts takes one dispatch per part; each writes the
 * rows whose id it holds, the first also those zeros.
 * @throws RangeError for a packed table whose C is not a multiple of 4.
 */
export function embedding(p: Program, ids: Tensor, table: Tensor, { positions, label }: EmbeddingOptions): Tensor {
  const [vocabulary, columns] = rowsOf(table);
  const kind = tableKind(label, table, columns);
  const width = kind === "f32.scalar" ? columns : columns / 4;
  const y = p.transient(label, [ids.size, columns]);
  const whole = [{ start: 0, end: vocabulary }];
  const parts = table.storage.kind === "buffers" ? table.storage.parts : whole;
  parts.forEach(({ start, end }, part) => {
    p.dispatch({
      kernel: embeddingKernel(kind),
      label,
      tensors: { ids, table: { tensor: table, part }, y, ...(table.scale && { scale: table.scale }) },
      uniforms: { count: ids.size, width, first: start, end, vocabulary, clear: part === 0 ? 1 : 0 },
      workgroups: elementGrid(ids.size * width, p.device),
    });
  });
  p.differentiate(y, [table], (dy, gradients) => backward(p, ids, table, dy, `d ${label}`, gradients));
  if (!positions) return y;
  const { table: positionTable, start, period } = positions;
  return addPositions(p, y, positionTable, { start, period, label: `${label}.positions` });
}

/** Adds the rows of dy to the rows of the table's gradient that they came from, part by part. */
function backward(p: Program, ids: Tensor, table: Tensor, dy: Tensor, label: string, gradients: Gradients): void {
  const [vocabulary, columns] = rowsOf(table);
  const count = ids.size;
  const vector = vectorOf(columns);
  const width = columns / vector;
  contribute(p, gradients, table, label, ({ tensors: { before, dx }, uniforms }) => {
    const links = p.transient(`${label}.links`, [count, 2], "u32");
    p.dispatch({
      kernel: embeddingLinksKernel,
      label,
      tensors: { ids, links },
      uniforms: { count },
      workgroups: elementGrid(count, p.device),
    });
    const parts = dx.storage.kind === "buffers" ? dx.storage.parts : [{ start: 0, end: vocabulary }];
    parts.forEach(({ start, end }, part) => {
      const size = (end - start) * width;
      if (uniforms.accumulate !== 1) {
        p.dispatch({
          kernel: embeddingClearKernel(vector),
          label,
          tensors: { before, dx: { tensor: dx, part } },
          uniforms: { count: size, ...uniforms },
          workgroups: elementGrid(Math.ceil(size / CLEAR_CHUNK), p.device),
        });
      }
      p.dispatch({
        kernel: embeddingBackwardKernel(vector),
        label,
        tensors: { ids, links, dy, dtable: { tensor: dx, part } },
        uniforms: { count, width, first: start, end },
        workgroups: elementGrid(count * width, p.device),
        flops: dy.size,
      });
    });
  });
}

/** Rows index[i] of x [rows, C]: index u32 [count] -> [count, C]; an index beyond x gives zeros. */
export function gatherIndexed(p: Program, x: Tensor, index: Tensor, options: { readonly label: string }): Tensor {
  return embedding(p, index, x, options);
}

function tableKind(label: string, table: Tensor, columns: number): TableKind {
  const { dtype } = table;
  const vector = vectorOf(columns);
  if (dtype === "f32") return vector === 4 ? "f32.vec4f" : "f32.scalar";
  if (dtype === "u32" || vector === 1 || (dtype === "q8") !== (table.scale !== undefined)) {
    throw new RangeError(
      `${label}: no lookup in ${table.label}, ${dtype} [${table.shape}] ${table.scale ? "with" : "without"} scales`,
    );
  }
  return dtype;
}

export function embeddingKernels(): KernelSpec[] {
  return [
    ...(["f32.vec4f", "f32.scalar", "f16", "q8"] as const).map(embeddingKernel),
    embeddingLinksKernel,
    ...([4, 1] as const).flatMap((vector) => [embeddingClearKernel(vector), embeddingBackwardKernel(vector)]),
  ];
}
