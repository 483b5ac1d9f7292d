import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { greedyPick } from "./greedy.wgsl.js";
import { stopUniforms } from "./shared.wgsl.js";
import { type DecodeState, recordRemaining, rowsPerLogits } from "./state.js";
import { rowTop, type TopVariant } from "./top.js";

export interface GreedyOptions {
  readonly label: string;
  /** Tokens generated before this step. */
  readonly step: number | Scalar;
  /** At most 16; a row that chooses one of them stops. */
  readonly stop: readonly number[];
  readonly variant?: TopVariant;
}

/**
 * Appends the most probable token of every row that has not stopped (equal logits: the lowest id) and its
 * log-probability. logits f32 [R, V], or [images, V] at step 0. Source: `greedy` of docs/facts.md 5.
 * @throws RangeError for other shapes or too many stop tokens.
 */
export function greedyStep(p: Program, logits: Tensor, state: DecodeState, options: GreedyOptions): void {
  const { label, step, stop } = options;
  const perLogits = rowsPerLogits(logits, state, step, label);
  const top = rowTop(p, logits, 1, options);
  const { tokens, length, score, stopped, next, maxTokens } = state;
  p.dispatch({
    kernel: greedyPick,
    label,
    tensors: { top: top.tensor, tokens, length, score, stopped, next },
    uniforms: {
      rows: next.rows,
      rowsPerLogits: perLogits,
      vocab: logits.shape[1]!,
      maxTokens,
      step,
      ...stopUniforms(stop),
    },
    workgroups: [Math.ceil(next.rows / 8), 1, 1],
  });
  recordRemaining(p, state, label);
}

export function greedyKernels(): KernelSpec[] {
  return [greedyPick];
}
