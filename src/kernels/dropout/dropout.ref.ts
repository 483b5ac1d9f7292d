/** What dropout keeps, bit for bit as on the GPU: element i where hash(seed, site, i) is at least rate 2^32. */
export function dropoutMask(count: number, rate: number, seed: number, site: number): boolean[] {
  const key = mix(seed >>> 0);
  const stream = mix(((key ^ (site >>> 0)) + 0x9e3779b9) >>> 0);
  const threshold = Math.floor(rate * 2 ** 32);
  return Array.from({ length: count }, (_, i) => mix((mix((i + key) >>> 0) + stream) >>> 0) >= threshold);
}

/** y = x / (1 - rate) where kept, else 0. Also its own backward, with dy for x: the function is linear. */
export function dropoutRef(x: ArrayLike<number>, keep: readonly boolean[], rate: number): Float64Array {
  return Float64Array.from(x, (v, i) => (keep[i] ? v / (1 - rate) : 0));
}

function mix(v: number): number {
  let x = v;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0;
  return (x ^ (x >>> 16)) >>> 0;
}
