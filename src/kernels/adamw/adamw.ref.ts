import type { AdamWHyper } from "./adamw.js";

/** One parameter with its gradient and moments. */
export interface AdamWElement {
  readonly value: number;
  readonly grad: number;
  readonly m: number;
  readonly v: number;
}

/** Update number t (from 1) of one element in f64: its new value and moments. */
export function adamWRef(
  { value, grad, m, v }: AdamWElement,
  o: AdamWHyper & { readonly lr: number; readonly t: number },
): Omit<AdamWElement, "grad"> {
  const { lr, t, beta1, beta2, eps } = o;
  const m1 = beta1 * m + (1 - beta1) * grad;
  const v1 = beta2 * v + (1 - beta2) * grad * grad;
  const c1 = 1 - beta1 ** t;
  const c2 = 1 - beta2 ** t;
  const decay = 1 - lr * o.weightDecay;
  const moved =
    o.variant === "torch"
      ? value * decay - ((lr / c1) * m1) / (Math.sqrt(v1) / Math.sqrt(c2) + eps)
      : (value - (((lr * Math.sqrt(c2)) / c1) * m1) / (Math.sqrt(v1) + eps)) * decay;
  return { value: moved, m: m1, v: v1 };
}
