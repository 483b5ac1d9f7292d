import { type AdamWHyper, adamW, adamWStep } from "../kernels/adamw/adamw.js";
import { gradNorm } from "../kernels/gradnorm/gradnorm.js";
import { ClipCapError } from "../runtime/errors.js";
import type { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";
import type { ParameterStore } from "./parameters.js";

/** What the libraries do when nothing is said: torch's AdamW, and the one that the original trained with (docs/facts.md 3). */
export const ADAMW_DEFAULTS: Readonly<Record<AdamWHyper["variant"], AdamWHyper>> = {
  torch: { variant: "torch", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 },
  hf2021: { variant: "hf2021", beta1: 0.9, beta2: 0.999, eps: 1e-6, weightDecay: 0 },
};

export interface AdamWOptions extends AdamWHyper {
  /** Gradients are scaled down so that the norm of all of them together is at most this; without it they are not. */
  readonly maxNorm?: number;
  /** f32 values, in this program or persistent: when one is NaN or infinite the update is skipped. */
  readonly loss?: Tensor;
  readonly label: string;
}

/**
 * Records one update of all parameters of the store from the gradients that lie in it. Each run takes the scalars `lr`
 * and `t`, the number of this update from 1, whether or not earlier ones were skipped.
 *
 * An update is skipped when a gradient, their norm or `loss` is NaN or infinite: parameters and moments keep every bit,
 * `store.skips` counts it, and the bias corrections go on as if it had not been asked for, as with torch's GradScaler.
 * The learning rate is the caller's: a schedule that is a function of t moves on.
 *
 * Returns f32 [2], kept readable: the gradients' norm before clipping and the factor that clips them; infinity and 0 for a
 * skipped update.
 * @throws ClipCapError `bad-input` for options out of range.
 */
export function recordAdamW(p: Program, store: ParameterStore, options: AdamWOptions): Tensor {
  check(options);
  const { label, maxNorm = 0 } = options;
  const gradients = store.slabs.map((slab) => slab.grad);
  const total = gradNorm(p, gradients, { label: `${label}.norm` });
  const scalars = { lr: p.scalar("lr"), t: p.scalar("t") };
  const { step, norm } = adamWStep(p, total, store.skips, { ...options, ...scalars, maxNorm });
  for (const slab of store.slabs) {
    adamW(p, slab, step, { ...options, weightDecay: slab.decay ? options.weightDecay : 0 });
  }
  p.keep(norm);
  return norm;
}

function check({ beta1, beta2, eps, weightDecay, maxNorm }: AdamWOptions): void {
  const faults = [
    !(beta1 >= 0 && beta1 < 1) && `beta1 ${beta1} must be from 0 to below 1`,
    !(beta2 >= 0 && beta2 < 1) && `beta2 ${beta2} must be from 0 to below 1`,
    !(eps >= 1e-30 && Number.isFinite(eps)) && `eps ${eps} must be at least 1e-30`, // a smaller one may be 0 in f32
    !(weightDecay >= 0 && Number.isFinite(weightDecay)) && `weight decay ${weightDecay} must not be negative`,
    maxNorm !== undefined && !(maxNorm > 0 && Number.isFinite(maxNorm)) && `max norm ${maxNorm} must be above 0`,
  ];
  const fault = faults.find((f) => f !== false);
  if (fault) throw new ClipCapError("bad-input", `AdamW: ${fault}`);
}
