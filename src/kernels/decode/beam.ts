import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { fillPool, pickByLength, pickByMean, reorder } from "./beam.wgsl.js";
import { stopUniforms } from "./shared.wgsl.js";
import { checkBeams, type DecodeState, recordRemaining, rowsPerLogits } from "./state.js";
import { rowTop, type TopVariant } from "./top.js";

/**
 * How beams are ranked.
 * - `mean`: the original's. All candidates of an image compete by mean log-probability at every step; a stopped beam
 *   keeps its score, length and slot. Ends when all beams of the image have stopped.
 * - `length-normalised`: live beams compete by their sum. A stop token among the first `beams` candidates moves that
 *   hypothesis to a pool of `beams`, ranked by sum / length^alpha, and its slot goes to the next live candidate. Ends
 *   when the pool is full and the best live beam, at its present length, is no better than the pool's worst.
 */
export type BeamRule = "mean" | "length-normalised";

export interface BeamOptions {
  readonly label: string;
  /** Tokens generated before this step. */
  readonly step: number | Scalar;
  /** Cache position at which the key and value of the token chosen now will be stored. */
  readonly position: number | Scalar;
  /** At most 16. */
  readonly stop: readonly number[];
  readonly rule: BeamRule;
  /** Divides the logits; 0 and below mean 1, as in the original. */
  readonly temperature?: number;
  /** `length-normalised`: exponent of the length; 0 ranks by sum. Default 1. */
  readonly alpha?: number;
  readonly variant?: TopVariant;
}

/**
 * One step of beam search for every image: the state's width is the number of beams (at most 16). Histories and
 * ancestry follow the chosen beams; cached keys and values stay where they are. Equal scores: the lowest (beam, token)
 * first. At step 0 only an image's first row of logits counts. logits f32 [R, V], or [images, V] at step 0.
 * Source: `generate_beam` of docs/facts.md 5. @throws RangeError beyond the limits, or without the pool that the rule needs.
 */
export function beamStep(p: Program, logits: Tensor, state: DecodeState, options: BeamOptions): void {
  const { label, step, position, stop, rule } = options;
  const vocab = logits.shape[1]!;
  const perLogits = rowsPerLogits(logits, state, step, label);
  const temperature = options.temperature !== undefined && options.temperature > 0 ? options.temperature : 1;
  // Stop tokens leave the beam, so the list holds so many more candidates that live ones cannot run out.
  const wanted = rule === "mean" ? state.width : state.width + stop.length;
  checkBeams(state, vocab, wanted, label);
  const top = rowTop(p, logits, wanted, { ...options, temperature });
  const { images, width: beams, maxTokens, capacity, tokens, length, score, stopped, next, moves, ancestry } = state;
  const picked = { top: top.tensor, length, score, stopped, next, moves };
  const uniforms = {
    images,
    beams,
    rowsPerLogits: perLogits,
    listLength: top.length,
    vocab,
    maxTokens,
    step,
    inverseTemperature: 1 / temperature,
    ...stopUniforms(stop),
  };
  const workgroups = [Math.ceil(images / 8), 1, 1] as const;
  if (rule === "mean") {
    p.dispatch({ kernel: pickByMean, label, tensors: picked, uniforms, workgroups });
  } else {
    const { pool } = state;
    if (!pool) throw new RangeError(`${label}: the rule length-normalised needs a state that was created with a pool`);
    p.dispatch({
      kernel: pickByLength,
      label,
      tensors: { ...picked, poolLength: pool.length, poolScore: pool.score },
      uniforms: { ...uniforms, alpha: options.alpha ?? 1 },
      workgroups,
    });
    p.dispatch({
      kernel: fillPool,
      label,
      tensors: { moves, tokens, poolTokens: pool.tokens },
      uniforms: { maxTokens, step },
      workgroups: [Math.ceil(maxTokens / 64), next.rows, 1],
    });
  }
  p.dispatch({
    kernel: reorder,
    label,
    tensors: { moves, next, tokens, ancestry },
    uniforms: { beams, maxTokens, capacity, step, position },
    workgroups: [Math.ceil(Math.max(maxTokens, capacity) / 64), images, 1],
  });
  recordRemaining(p, state, label);
}

export function beamKernels(): KernelSpec[] {
  return [pickByMean, pickByLength, fillPool, reorder];
}
