import type { Device } from "../../runtime/device.js";
import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import type { RowGroup } from "../rowgroup.js";
import { drawToken, filterRow, keptProbabilities } from "./sample.wgsl.js";
import { stopUniforms } from "./shared.wgsl.js";
import { type DecodeState, recordRemaining, rowsPerLogits } from "./state.js";

export interface FilterOptions {
  readonly label: string;
  /** Divides the logits; above 0. Default 1. */
  readonly temperature?: number;
  /** Keep the k largest logits and all that equal the k-th. Default: all. */
  readonly topK?: number;
  /** Then keep a token when the probability of all larger ones is below p; the largest always stays. Default 1: all. */
  readonly topP?: number;
  readonly variant?: SampleVariant;
}

export interface SampleOptions extends FilterOptions {
  /** Tokens generated before this step. */
  readonly step: number | Scalar;
  /** At most 16. */
  readonly stop: readonly number[];
  /** An integer; its low 32 bits count. */
  readonly seed: number | Scalar;
}

/** How the threads of a workgroup share a row in the filter, and how many draw. */
export interface SampleVariant {
  readonly filter: RowGroup;
  readonly draw: number;
}

export const SAMPLE_VARIANTS: readonly SampleVariant[] = [
  { filter: { reduce: "lanes", size: 8 }, draw: 8 },
  { filter: { reduce: "lanes", size: 4 }, draw: 8 },
  { filter: { reduce: "shared", size: 8 }, draw: 8 },
  { filter: { reduce: "shared", size: 256 }, draw: 256 },
];

/** On lavapipe 5 rows of 50,257 take 1.4 ms without filters, 3.6 with top-k, 5.2 with top-p, 8 with both. */
export function chooseSampleVariant({ adapter, lanes }: Pick<Device, "adapter" | "lanes">): SampleVariant {
  if (lanes > 0) return { filter: { reduce: "lanes", size: lanes }, draw: 8 };
  return adapter.isCpu ? SAMPLE_VARIANTS[2]! : SAMPLE_VARIANTS[3]!;
}

/**
 * Draws the next token of every row that has not stopped from its filtered distribution, in the order of token ids,
 * with a random number that depends on (seed, number of the caption within its image, step) alone: the same image, seed
 * and number give the same caption in any batch. The score adds the log-probability of the whole distribution that the
 * given logits mean, unfiltered and at temperature 1. logits f32 [R, V], or [images, V] at step 0.
 * @throws RangeError for other shapes, filters outside their range or too many stop tokens.
 */
export function sampleStep(p: Program, logits: Tensor, state: DecodeState, options: SampleOptions): void {
  const { label, step, stop, seed } = options;
  const perLogits = rowsPerLogits(logits, state, step, label);
  const variant = options.variant ?? chooseSampleVariant(p.device);
  const { stats, inverseTemperature } = recordFilter(p, logits, { ...options, variant });
  const { tokens, length, score, stopped, next, maxTokens, width } = state;
  p.dispatch({
    kernel: drawToken(variant.draw),
    label,
    tensors: { logits, stats, tokens, length, score, stopped, next },
    uniforms: {
      width,
      rowsPerLogits: perLogits,
      vocab: logits.shape[1]!,
      maxTokens,
      step,
      seed,
      inverseTemperature,
      ...stopUniforms(stop),
    },
    workgroups: [next.rows, 1, 1],
  });
  recordRemaining(p, state, label);
}

/**
 * The distribution that `sampleStep` draws from: f32 [rows, V], 0 for tokens that the filters drop. A drawn token says
 * little about the filters; this can be compared with a reference.
 */
export function filterProbabilities(p: Program, logits: Tensor, options: FilterOptions): Tensor {
  const { stats, inverseTemperature } = recordFilter(p, logits, options);
  const [rows, vocab] = logits.shape as [number, number];
  const probability = p.transient(`${options.label}.probability`, [rows, vocab]);
  p.dispatch({
    kernel: keptProbabilities,
    label: options.label,
    tensors: { logits, stats, probability },
    uniforms: { vocab, inverseTemperature },
    workgroups: [Math.ceil(vocab / 64), rows, 1],
  });
  return probability;
}

function recordFilter(p: Program, logits: Tensor, options: FilterOptions) {
  const { label, temperature = 1, topP = 1, topK } = options;
  const [rows, vocab] = logits.shape as [number, number];
  if (!(temperature > 0)) throw new RangeError(`${label}: temperature ${temperature}; it must be above 0`);
  if (!(topP > 0 && topP <= 1)) throw new RangeError(`${label}: topP ${topP}; it must be above 0 and at most 1`);
  if (topK !== undefined && !(Number.isInteger(topK) && topK >= 1)) {
    throw new RangeError(`${label}: topK ${topK}; it must be a whole number from 1 on`);
  }
  const inverseTemperature = 1 / temperature;
  const stats = p.transient(`${label}.filter`, [rows, 4], "u32");
  p.dispatch({
    kernel: filterRow((options.variant ?? chooseSampleVariant(p.device)).filter),
    label,
    tensors: { logits, stats },
    uniforms: { vocab, inverseTemperature, topK: topK !== undefined && topK < vocab ? topK : 0, topP },
    workgroups: [rows, 1, 1],
  });
  return { stats, inverseTemperature };
}

export function sampleKernels(): KernelSpec[] {
  return [
    ...SAMPLE_VARIANTS.map((v) => filterRow(v.filter)),
    ...[8, 256].map((threads) => drawToken(threads)),
    keptProbabilities,
  ];
}
