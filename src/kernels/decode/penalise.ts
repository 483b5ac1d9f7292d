import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { banTokens, penaliseHistory } from "./penalise.wgsl.js";
import { stopUniforms } from "./shared.wgsl.js";
import { type DecodeState, rowsPerLogits } from "./state.js";

export interface PenaltyOptions {
  readonly label: string;
  /** Tokens generated before this step: the history of every row. */
  readonly step: number | Scalar;
  /** Logits of tokens in the history: positive ones are divided by it, negative ones multiplied. Default 1. */
  readonly repetitionPenalty?: number;
  /** Bans tokens that would repeat n tokens of the history in a row. Default 0: none. */
  readonly noRepeatNgram?: number;
  /** Tokens that may not be chosen, at most 16. */
  readonly bannedTokens?: readonly number[];
  /** They are banned while fewer tokens than this exist: with stop tokens, the least length. Default: always. */
  readonly bannedUntil?: number;
}

/**
 * Changes logits in place before the next token is chosen, and returns them. A banned logit becomes -3e38, which makes
 * its probability exactly 0. logits f32 [R, V], or [images, V] at step 0, where there is no history yet.
 * @throws RangeError for other shapes, a penalty that is not above 0, an n that is no whole number, too many tokens.
 */
export function penalise(p: Program, logits: Tensor, state: DecodeState, options: PenaltyOptions): Tensor {
  const { label, step, repetitionPenalty = 1, noRepeatNgram = 0, bannedTokens = [] } = options;
  if (!(repetitionPenalty > 0))
    throw new RangeError(`${label}: repetition penalty ${repetitionPenalty}; it must be above 0`);
  if (!Number.isInteger(noRepeatNgram) || noRepeatNgram < 0) {
    throw new RangeError(`${label}: no-repeat n-gram of ${noRepeatNgram}; it must be a whole number from 0 on`);
  }
  const [rows, vocab] = logits.shape as [number, number];
  const perLogits = rowsPerLogits(logits, state, step, label);
  if (perLogits === 1 && (repetitionPenalty !== 1 || noRepeatNgram > 0)) {
    const { tokens, maxTokens } = state;
    p.dispatch({
      kernel: penaliseHistory,
      label,
      tensors: { tokens, logits },
      uniforms: { vocab, maxTokens, step, penalty: repetitionPenalty, ngram: noRepeatNgram },
      workgroups: [Math.ceil(maxTokens / 8), rows, 1],
    });
  }
  if (bannedTokens.length > 0) {
    p.dispatch({
      kernel: banTokens,
      label,
      tensors: { logits },
      uniforms: {
        vocab,
        step,
        until: options.bannedUntil ?? 0xffff_ffff,
        ...stopUniforms(bannedTokens, "banned tokens"),
      },
      workgroups: [1, rows, 1],
    });
  }
  return logits;
}

export function penaliseKernels(): KernelSpec[] {
  return [penaliseHistory, banTokens];
}
