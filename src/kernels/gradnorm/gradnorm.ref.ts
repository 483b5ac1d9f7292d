/** Root of the sum of all squares, in f64; NaN or infinite where an element is. */
export function gradNormRef(gradients: readonly ArrayLike<number>[]): number {
  let sum = 0;
  for (const x of gradients) for (let i = 0; i < x.length; i++) sum += x[i]! * x[i]!;
  return Math.sqrt(sum);
}

/** What each gradient is multiplied with so that the norm of all is at most `maxNorm` (torch's clip_grad_norm_). */
export function clipFactorRef(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
