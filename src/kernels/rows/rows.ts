import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Gradients } from "../../runtime/tape.js";
import type { Tensor } from "../../runtime/tensor.js";
import { expectShape, rowsOf } from "../check.js";
import { contribute } from "../contribution.js";
import { addGradient, sum } from "../gradient.js";
import { elementGrid, vectorOf } from "../grid.js";
import { addRowsKernel, copyRowsBackwardKernel, copyRowsKernel, sliceColumnsKernel } from "./rows.wgsl.js";

/** Which rows of x go to which rows of y; see `copyRowsKernel`. Distances are in rows. */
export interface RowMap {
  readonly count: number;
  readonly period: number;
  readonly from: readonly [first: number | Scalar, group: number];
  readonly to: readonly [first: number, group: number];
}

function copyRows(p: Program, x: Tensor, y: Tensor, label: string, map: RowMap & { from: [number, number] }): void {
  const { count, period, from, to } = map;
  const [rows, columns] = rowsOf(x);
  const last = (n: number) => Math.max(0, n - 1);
  const groups = Math.ceil(count / period);
  const highest = from[0] + last(groups) * from[1] + last(Math.min(period, count));
  if (count < 1 || period < 1 || from[0] < 0 || highest >= rows) {
    throw new RangeError(`${label}: ${count} rows from ${from[0]} to ${highest}, but ${x.label} has ${rows} rows`);
  }
  const vector = vectorOf(columns);
  const width = columns / vector;
  p.dispatch({
    kernel: copyRowsKernel(vector),
    label,
    tensors: { x, y },
    uniforms: {
      count,
      width,
      period,
      from_first: from[0],
      from_group: from[1],
      to_first: to[0],
      to_group: to[1],
    },
    workgroups: elementGrid(count * width, p.device),
  });
  p.differentiate(y, [x], (dy, gradients) => copyRowsBackward(p, gradients, x, dy, `d ${label}`, map));
}

/**
 * Adds to the gradient of x what the rows of dy are that x's rows went to: the backward of every copy and, where groups
 * share their rows (a distance of 0), of everything that is repeated for each sequence.
 */
export function copyRowsBackward(
  p: Program,
  gradients: Gradients,
  x: Tensor,
  dy: Tensor,
  label: string,
  { count, period, from, to }: RowMap,
): void {
  const [rows, columns] = rowsOf(x);
  const vector = vectorOf(columns);
  const width = columns / vector;
  contribute(p, gradients, x, label, ({ tensors, uniforms }) => {
    p.dispatch({
      kernel: copyRowsBackwardKernel(vector),
      label,
      tensors: { dy, ...tensors },
      uniforms: {
        count: rows,
        width,
        copied: count,
        period,
        from_first: from[0],
        from_group: from[1],
        to_first: to[0],
        to_group: to[1],
        ...uniforms,
      },
      workgroups: elementGrid(rows * width, p.device),
      flops: count * columns,
    });
  });
}

export interface GatherOptions {
  readonly start: number;
  readonly stride: number;
  readonly count: number;
  readonly label: string;
}

/**
 * Rows start, start + stride, ...: x [rows, C] -> [count, C]. The last tokens of sequences of T: start T - 1, stride T.
 * @throws RangeError when a row lies outside x.
 */
export function gatherRows(p: Program, x: Tensor, { start, stride, count, label }: GatherOptions): Tensor {
  const y = p.transient(label, [count, rowsOf(x)[1]]);
  copyRows(p, x, y, label, { count, period: 1, from: [start, stride], to: [0, 1] });
  return y;
}

export interface SliceOptions {
  readonly batch: number;
  readonly from: number;
  readonly to: number;
  readonly label: string;
}

/**
 * Items [from, to) of every sequence: x [B*T, C] -> [B*(to - from), C].
 * @throws RangeError when x has no B equal sequences or [from, to) is not within them.
 */
export function sliceRows(p: Program, x: Tensor, { batch, from, to, label }: SliceOptions): Tensor {
  const [rows, columns] = rowsOf(x);
  const length = rows / batch;
  if (!Number.isInteger(length) || from < 0 || from >= to || to > length) {
    throw new RangeError(`${label}: items ${from} to ${to} of ${batch} sequences in ${x.label} [${x.shape}]`);
  }
  const period = to - from;
  const y = p.transient(label, [batch * period, columns]);
  copyRows(p, x, y, label, { count: batch * period, period, from: [from, length], to: [0, period] });
  return y;
}

/**
 * Columns [from, to): x [rows, C] -> [rows, to - from]. For backward passes, itself without one.
 * @throws RangeError when [from, to) is not within the columns.
 */
export function sliceColumns(p: Program, x: Tensor, o: { from: number; to: number; label: string }): Tensor {
  const [rows, columns] = rowsOf(x);
  const width = o.to - o.from;
  if (o.from < 0 || width < 1 || o.to > columns) {
    throw new RangeError(`${o.label}: columns ${o.from} to ${o.to} of ${x.label} [${x.shape}]`);
  }
  const y = p.transient(o.label, [rows, width]);
  p.dispatch({
    kernel: sliceColumnsKernel,
    label: o.label,
    tensors: { x, y },
    uniforms: { count: rows, width, first: o.from, stride: columns },
    workgroups: elementGrid(rows * width, p.device),
  });
  return y;
}

export interface ConcatOptions {
  readonly batch: number;
  /** b is one sequence [Tb, C] that follows every sequence of a. */
  readonly shared?: boolean;
  readonly label: string;
}

/**
 * Joins sequences: a [B*Ta, C] and b [B*Tb, C] (or a shared [Tb, C]) -> [B*(Ta + Tb), C].
 * @throws RangeError when the rows are no B equal sequences, or the columns differ.
 */
export function concatRows(p: Program, a: Tensor, b: Tensor, options: ConcatOptions): Tensor {
  const { batch, label, shared = false } = options;
  const [rowsA, columns] = rowsOf(a);
  const [rowsB, columnsB] = rowsOf(b);
  const lengthA = rowsA / batch;
  const lengthB = shared ? rowsB : rowsB / batch;
  if (columns !== columnsB || !Number.isInteger(lengthA) || !Number.isInteger(lengthB)) {
    throw new RangeError(
      `${label}: cannot join ${a.label} [${a.shape}] and ${b.label} [${b.shape}] in ${batch} sequences`,
    );
  }
  const length = lengthA + lengthB;
  const y = p.transient(label, [batch * length, columns]);
  copyRows(p, a, y, label, { count: rowsA, period: lengthA, from: [0, lengthA], to: [0, length] });
  copyRows(p, b, y, label, {
    count: batch * lengthB,
    period: lengthB,
    from: [0, shared ? 0 : lengthB],
    to: [lengthA, length],
  });
  return y;
}

/** x [rows, C] -> [times * rows, C]: all of x, again and again. Its gradient is the sum over the copies. */
export function repeatRows(p: Program, x: Tensor, times: number, { label }: { readonly label: string }): Tensor {
  const [rows, columns] = rowsOf(x);
  const y = p.transient(label, [times * rows, columns]);
  copyRows(p, x, y, label, { count: times * rows, period: rows, from: [0, 0], to: [0, rows] });
  return y;
}

export interface AddPositionsOptions {
  /** Row of the table for the first item of each sequence; a scalar while decoding. */
  readonly start: number | Scalar;
  /** Items per sequence, T. */
  readonly period: number;
  readonly label: string;
}

/**
 * y[b, t] = x[b, t] + table[start + t]: x [B*T, C], table [P, C] -> [B*T, C].
 * @throws RangeError when a fixed start leaves the table; a scalar start is the caller's to check.
 */
export function addPositions(p: Program, x: Tensor, table: Tensor, options: AddPositionsOptions): Tensor {
  const { start, period, label } = options;
  const [rows, columns] = rowsOf(x);
  expectShape(label, table, [table.rows, columns]);
  const last = (typeof start === "number" ? start : 0) + Math.min(period, rows) - 1;
  if (last >= table.rows) {
    throw new RangeError(`${label}: position ${last} is beyond ${table.label}, which has ${table.rows}`);
  }
  const vector = vectorOf(columns);
  const width = columns / vector;
  const y = p.transient(label, x.shape);
  p.dispatch({
    kernel: addRowsKernel(vector),
    label,
    tensors: { x, table, y },
    uniforms: { count: rows, width, start, period },
    workgroups: elementGrid(rows * width, p.device),
    flops: x.size,
  });
  p.differentiate(y, [x, table], (dy, gradients) => {
    addGradient(p, gradients, x, dy);
    const map = { count: rows, period, from: [start, 0], to: [0, period] } as const;
    copyRowsBackward(p, gradients, table, dy, `d ${label}`, map);
  });
  return y;
}

export interface AddOptions {
  readonly label: string;
}

/** a + b, element by element, of one shape. In models the matmul epilogue adds residuals; here it stands alone. */
export function add(p: Program, a: Tensor, b: Tensor, { label }: AddOptions): Tensor {
  expectShape(label, b, a.shape);
  const y = sum(p, a, b, label);
  p.differentiate(y, [a, b], (dy, gradients) => {
    addGradient(p, gradients, a, dy);
    addGradient(p, gradients, b, dy);
  });
  return y;
}

export function rowKernels(): KernelSpec[] {
  return ([4, 1] as const)
    .flatMap((vector) => [copyRowsKernel(vector), copyRowsBackwardKernel(vector), addRowsKernel(vector)])
    .concat(sliceColumnsKernel);
}
