import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import { rowBytes, rowsOfTensor, type Tensor } from "../../runtime/tensor.js";
import { expectShape, rowsOf } from "../check.js";
import { columnSum } from "../columnsum/columnsum.js";
import { addGradient } from "../gradient.js";
import { elementGrid, foldedGrid } from "../grid.js";
import { matmul, matmulBackward } from "../matmul/matmul.js";
import { chooseRowGroup, ROW_GROUPS, type RowGroup } from "../rowgroup.js";
import { crossEntropyBackwardKernel, foldKernel, lossKernel } from "./crossentropy.wgsl.js";

/**
 * Logits that exist at a time; their gradient takes as much again. 128 rows of GPT-2's vocabulary take 25.7 MB, of which
 * this is a third: wide enough for the products to run at full speed, small beside the activations of a training step.
 */
const CHUNK_BYTES = 8 * 2 ** 20;

export interface CrossEntropyOptions {
  /**
   * f32 [N], or one number for all rows; default 1/N, the mean. Batches that are accumulated take 1 / (rows that count
   * in all of them); rows that only fill the shape take 0.
   */
  readonly weights?: Tensor | number;
  readonly label: string;
  readonly variant?: RowGroup;
}

export interface CrossEntropy {
  /** f32 [1]: sum over rows of weight * loss. */
  readonly loss: Tensor;
  /** f32 [N]: -log softmax(logits)[target] in nats, without weights; 0 where the target is no entry. */
  readonly perRow: Tensor;
}

/**
 * Cross-entropy of x head^T: x [N, C], head f32 [V, C], targets u32 [N]. The logits are made and dropped in chunks of the
 * vocabulary, once forward and (but for the last chunk) once more backward; nothing of size N x V exists. A row whose
 * target is not below V counts nothing. Differentiable in x and head, which may be frozen or split in parts.
 * @throws RangeError for shapes that do not fit, a packed head or one whose rows cannot be bound alone.
 */
export function crossEntropy(
  p: Program,
  x: Tensor,
  head: Tensor,
  targets: Tensor,
  options: CrossEntropyOptions,
): CrossEntropy {
  const { label } = options;
  const [rows, width] = rowsOf(x);
  expectShape(label, head, [head.rows, width]);
  if (head.dtype !== "f32") throw new RangeError(`${label}: ${head.label} is ${head.dtype}; its rows must be f32`);
  const chunks = vocabularyChunks(head, rows).map(([a, b]) => ({ first: a, weight: rowsOfTensor(head, a, b) }));
  const logitsOf = ({ weight }: { weight: Tensor }) =>
    matmul(p, x, weight, { layout: "nt", label: `${label} ${weight.label}` });

  const common = commonOf(p, rows, head.rows, targets, options);
  let last = x;
  for (const chunk of chunks) {
    last = logitsOf(chunk);
    fold(common, last, chunk.first);
  }
  const result = finish(common);
  p.differentiate(result.loss, [x, head], (dloss, gradients) => {
    for (const [i, chunk] of [...chunks.entries()].reverse()) {
      const logits = i === chunks.length - 1 ? last : logitsOf(chunk);
      const dlogits = backward(common, logits, chunk.first, dloss);
      matmulBackward(p, x, chunk.weight, { layout: "nt", label }, dlogits, gradients);
    }
  });
  return result;
}

/** The same of logits [N, V] that exist already. */
export function crossEntropyOfLogits(
  p: Program,
  logits: Tensor,
  targets: Tensor,
  options: CrossEntropyOptions,
): CrossEntropy {
  const common = commonOf(p, ...rowsOf(logits), targets, options);
  fold(common, logits, 0);
  const result = finish(common);
  p.differentiate(result.loss, [logits], (dloss, gradients) =>
    addGradient(p, gradients, logits, backward(common, logits, 0, dloss)),
  );
  return result;
}

/**
 * Rows [a, b) of the head per chunk, all within one part. A chunk begins where WebGPU lets a binding begin (256 bytes)
 * and is a multiple of four rows long, as the fast products ask; the few rows left at the end are a chunk of their own.
 */
export function vocabularyChunks(head: Tensor, rows: number): [start: number, end: number][] {
  if (head.storage.kind !== "buffers") throw new TypeError(`${head.label} lives inside a program; a head must not`);
  let step = 4;
  while ((step * rowBytes(head.dtype, head.shape)) % 256 !== 0) step *= 2;
  const most = Math.max(step, Math.floor(CHUNK_BYTES / (4 * rows * step)) * step);
  const chunks: [number, number][] = [];
  for (const part of head.storage.parts) {
    const whole = part.end - ((part.end - part.start) % step);
    for (let a = part.start; a < whole; a += most) chunks.push([a, Math.min(whole, a + most)]);
    if (whole < part.end) chunks.push([whole, part.end]);
  }
  return chunks;
}

/** What the dispatches of one loss have in common. */
interface Common {
  readonly p: Program;
  readonly rows: number;
  readonly vocabulary: number;
  readonly targets: Tensor;
  readonly weights: Tensor;
  readonly stats: Tensor;
  /** Uniforms of the rows' weights. */
  readonly weighting: { readonly vocabulary: number; readonly weight: number; readonly weighted: 0 | 1 };
  readonly label: string;
  readonly variant: RowGroup;
}

function commonOf(p: Program, rows: number, vocabulary: number, targets: Tensor, o: CrossEntropyOptions): Common {
  const { label, weights = 1 / rows, variant = chooseRowGroup(p.device) } = o;
  expectShape(label, targets, [rows]);
  const own = typeof weights !== "number";
  if (own) expectShape(label, weights, [rows]);
  return {
    p,
    rows,
    vocabulary,
    targets,
    weights: own ? weights : p.device.empty,
    stats: p.transient(`${label}.stats`, [rows, 4]),
    weighting: { vocabulary, weight: own ? 0 : weights, weighted: own ? 1 : 0 },
    label,
    variant,
  };
}

function fold({ p, rows, targets, stats, label, variant }: Common, logits: Tensor, first: number): void {
  p.dispatch({
    kernel: foldKernel(variant),
    label,
    tensors: { logits, targets, stats },
    uniforms: { rows, columns: rowsOf(logits)[1], first },
    workgroups: foldedGrid(rows, p.device),
    flops: 4 * logits.size,
  });
}

function finish({ p, rows, targets, weights, stats, weighting, label }: Common): CrossEntropy {
  const perRow = p.transient(`${label}.rows`, [rows]);
  const weighted = p.transient(`${label}.weighted`, [rows]);
  const loss = p.transient(label, [1]);
  p.dispatch({
    kernel: lossKernel,
    label,
    tensors: { stats, targets, weights, losses: perRow, weighted },
    uniforms: { rows, ...weighting },
    workgroups: elementGrid(rows, p.device),
  });
  columnSum(p, weighted.reshape(rows, 1), { grad: loss, accumulate: 0 }, { label });
  return { loss, perRow };
}

function backward(common: Common, logits: Tensor, first: number, dloss: Tensor): Tensor {
  const { p, rows, targets, weights, stats, weighting, label, variant } = common;
  const dlogits = p.transient(`d ${label}.logits`, logits.shape);
  p.dispatch({
    kernel: crossEntropyBackwardKernel(variant.size),
    label: `d ${label}`,
    tensors: { logits, targets, weights, stats, dloss, dlogits },
    uniforms: { rows, columns: rowsOf(logits)[1], first, ...weighting },
    workgroups: foldedGrid(rows, p.device),
    flops: 4 * logits.size,
  });
  return dlogits;
}

export function crossEntropyKernels(): KernelSpec[] {
  return [lossKernel, ...ROW_GROUPS.map(foldKernel), ...[4, 8, 64].map(crossEntropyBackwardKernel)];
}
