import { lowbias32 } from "../random.js";

/** Uniform whole numbers 0 ... n - 1. */
export type Below = (n: number) => number;

/**
 * A stream of random numbers that depends on `keys` (32-bit whole numbers) alone, the same in every engine: a hashed
 * counter.
 */
export function randomStream(...keys: readonly number[]): Below {
  let state = keys.reduce((hash, key) => lowbias32(hash ^ lowbias32(key + GOLDEN)), 0);
  return (n) => {
    state = (state + GOLDEN) | 0;
    return Math.floor((lowbias32(state) / 2 ** 32) * n);
  };
}

/** 2^32 divided by the golden ratio: odd, so that the counter passes all 2^32 states. */
const GOLDEN = 0x9e3779b9;
