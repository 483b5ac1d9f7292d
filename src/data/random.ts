/**
 * Random numbers without a state: number i of a named stream is a function of (seed, stream, i). So a run that is resumed
 * needs nothing but its seed and its step, and what one part draws does not shift what another sees.
 */
export interface Random {
  /** Uniform in [0, 1), a multiple of 2^-32. */
  uniform(i: number): number;
  /** Whole, uniform in [0, n). */
  below(n: number, i: number): number;
  /** Standard normal. */
  normal(i: number): number;
  /** 0 … n-1 in random order (Fisher and Yates). */
  permutation(n: number): Uint32Array;
}

/** @param stream whatever tells this use from others: a name, an epoch, an image. */
export function random(seed: number, ...stream: readonly (string | number)[]): Random {
  let key = lowbias32(seed >>> 0);
  for (const part of stream) {
    for (const word of typeof part === "number" ? [part] : new TextEncoder().encode(part)) {
      key = lowbias32((Math.imul(key, 0x9e3779b1) + word + 0x85ebca6b) | 0);
    }
  }
  const uniform = (i: number) => lowbias32(lowbias32(i + key) + (key ^ 0x9e3779b9)) / 2 ** 32;
  return {
    uniform,
    below: (n, i) => Math.floor(uniform(i) * n),
    // Box and Muller; 1 - u is never 0.
    normal: (i) => Math.sqrt(-2 * Math.log(1 - uniform(2 * i))) * Math.cos(2 * Math.PI * uniform(2 * i + 1)),
    permutation(n) {
      const order = Uint32Array.from({ length: n }, (_, i) => i);
      for (let i = n - 1; i > 0; i--) {
        const j = Math.floor(uniform(i) * (i + 1));
        [order[i], order[j]] = [order[j]!, order[i]!];
      }
      return order;
    },
  };
}

/** "lowbias32" (github.com/skeeto/hash-prospector), as in dropout's kernel: a bijection of 32 bits. */
export function lowbias32(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}
