/**
 * Decoding on plain arrays in f64: the specification of the kernels beside it (SPEC 1.6). Slow and obvious.
 */

/** log softmax(logits / temperature). */
export function logSoftmax(logits: ArrayLike<number>, temperature = 1): number[] {
  const scaled = Array.from(logits, (x) => x / temperature);
  const max = scaled.reduce((a, b) => Math.max(a, b));
  const sum = scaled.reduce((total, x) => total + Math.exp(x - max), 0);
  return scaled.map((x) => x - max - Math.log(sum));
}

/** Indices of the k largest values, largest first; equal values: lowest index first. */
export function topIndices(values: readonly number[], k: number): number[] {
  return values
    .map((_, i) => i)
    .sort((a, b) => values[b]! - values[a]! || a - b)
    .slice(0, k);
}

/** One row of the decoding state. */
export interface RowRef {
  readonly tokens: readonly number[];
  readonly length: number;
  readonly score: number;
  readonly stopped: boolean;
}

export const EMPTY_ROW: RowRef = { tokens: [], length: 0, score: 0, stopped: false };

/** Appends `token` and its log-probability, or the padding token 0 once the row has stopped. */
export function appendRef(row: RowRef, token: number, logProbability: number, stop: readonly number[]): RowRef {
  if (row.stopped) return { ...row, tokens: [...row.tokens, 0] };
  return {
    tokens: [...row.tokens, token],
    length: row.length + 1,
    score: row.score + logProbability,
    stopped: stop.includes(token),
  };
}

/** The most probable token; equal logits: the lowest id. */
export function greedyStepRef(row: RowRef, logits: ArrayLike<number>, stop: readonly number[]): RowRef {
  const logp = logSoftmax(logits);
  const best = topIndices(logp, 1)[0]!;
  return appendRef(row, best, logp[best]!, stop);
}
