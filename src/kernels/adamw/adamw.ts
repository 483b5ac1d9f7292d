import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { expectShape } from "../check.js";
import { foldedGrid } from "../grid.js";
import { EACH, GROUP, STEP_WORDS, stepKernel, updateKernel } from "./adamw.wgsl.js";

export type AdamWVariant = "torch" | "hf2021";

export interface AdamWHyper {
  /**
   * `torch`: torch.optim.AdamW. `hf2021`: AdamW of the transformers library when ClipCap was written: epsilon is added to
   * the root before its bias is corrected, and weights decay after the step (docs/facts.md 3).
   */
  readonly variant: AdamWVariant;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
}

export interface AdamWStepOptions extends Pick<AdamWHyper, "variant" | "beta1" | "beta2"> {
  readonly lr: number | Scalar;
  /** Number of this update, from 1, those included that were skipped. */
  readonly t: number | Scalar;
  /** The norm to which gradients are clipped; 0 leaves them. */
  readonly maxNorm: number;
  /** f32 values that must be finite too for the update to take place. */
  readonly loss?: Tensor;
  readonly label: string;
}

export interface AdamWStep {
  /** For `adamW`. */
  readonly step: Tensor;
  /** f32 [2]: norm of all gradients, and the factor that clips them; infinity and 0 where the update is skipped. */
  readonly norm: Tensor;
}

/**
 * Decides about one update from the gradients' `total` (`gradNorm`): the clipping factor, the bias corrections, and
 * whether it is skipped because a gradient, their norm or a loss is not finite. `skips` u32 [2], updates skipped in all
 * and in a row, is brought up to date; skipped updates do not count in the bias corrections.
 */
export function adamWStep(p: Program, total: Tensor, skips: Tensor, o: AdamWStepOptions): AdamWStep {
  expectShape(o.label, total, [1, 2]);
  expectShape(o.label, skips, [2]);
  const step = p.transient(`${o.label}.step`, [STEP_WORDS]);
  const norm = p.transient(`${o.label}.norm`, [2]);
  p.dispatch({
    kernel: stepKernel,
    label: o.label,
    tensors: { total, loss: o.loss ?? p.device.empty, skips, norm, step },
    uniforms: {
      lr: o.lr,
      t: o.t,
      losses: o.loss?.size ?? 0,
      max_norm: o.maxNorm,
      log_beta1: logOf(o.beta1),
      log_beta2: logOf(o.beta2),
      corrected_root: o.variant === "torch" ? 1 : 0,
    },
    workgroups: [1, 1, 1],
  });
  return { step, norm };
}

/** ln beta, finite for 0 as well: exp(-1000) is 0. */
function logOf(beta: number): number {
  return Math.max(-1000, Math.log(beta));
}

/** Flat f32 tensors of one size, whole vectors of four. */
export interface AdamWFlat {
  readonly value: Tensor;
  readonly grad: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
}

/** Updates value, m and v in place, in one dispatch. @throws RangeError for tensors of different or odd sizes. */
export function adamW(p: Program, x: AdamWFlat, step: Tensor, o: AdamWHyper & { readonly label: string }): void {
  const { value, grad, m, v } = x;
  if (value.size % 4 !== 0)
    throw new RangeError(`${o.label}: ${value.label} [${value.shape}] is no whole vectors of four`);
  for (const t of [grad, m, v]) expectShape(o.label, t, value.shape);
  p.dispatch({
    kernel: updateKernel(p.device.lanes || GROUP),
    label: o.label,
    tensors: { step, grad, value, m, v },
    uniforms: {
      count: value.size / 4,
      beta1: o.beta1,
      rest1: 1 - o.beta1,
      beta2: o.beta2,
      rest2: 1 - o.beta2,
      eps: o.eps,
      weight_decay: o.weightDecay,
      decay_last: o.variant === "hf2021" ? 1 : 0,
    },
    workgroups: foldedGrid(Math.ceil(value.size / (4 * EACH)), p.device),
    flops: 16 * value.size,
  });
}

export function adamWKernels(): KernelSpec[] {
  return [stepKernel, ...[4, 8, GROUP].map(updateKernel)];
}
