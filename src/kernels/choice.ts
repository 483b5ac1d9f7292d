import type { Device } from "../runtime/device.js";

/** A device as far as a choice may depend on its measured choices. */
export type Tunable = Pick<Device, "tuned">;

/**
 * The candidate that the device's measured choices name for this class of shapes, else the first, which is what the
 * project takes where nothing was measured. A pure function: the same table gives the same kernels. A name that is no
 * candidate for this very shape (rows that are no multiple of 4, say) counts as none.
 */
export function choose<V>(device: Tunable, of: string, candidates: readonly V[], nameOf: (variant: V) => string): V {
  const name = device.tuned?.choices[of];
  return candidates.find((variant) => nameOf(variant) === name) ?? candidates[0]!;
}

/** Sizes of a class: up to the next power of two. n from 1 to 2^31. */
export function sizeClass(n: number): number {
  return 2 ** (32 - Math.clz32(n - 1));
}
