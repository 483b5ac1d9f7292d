/** Uniform whole numbers 0 ... n - 1. */
export type Below = (n: number) => number;

/**
 * A stream of random numbers that depends on `keys` (32-bit whole numbers) alone, the same in every engine: a counter
 * hashed with the mixer "lowbias32" of C. Wellons (prospecting for hash functions, 2018).
 */
export function randomStream(...keys: readonly number[]): Below {
  let state = keys.reduce((hash, key) => mix(hash ^ mix(key + GOLDEN)), 0);
  return (n) => {
    state = (state + GOLDEN) | 0;
    return Math.floor((mix(state) / 2 ** 32) * n);
  };
}

/** 2^32 divided by the golden ratio: odd, so that the counter passes all 2^32 states. */
const GOLDEN = 0x9e3779b9;

function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}
