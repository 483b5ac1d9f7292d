/**
 * Decoding on plain arrays in f64: the specification of the kernels beside it (docs/facts.md 5). Slow and obvious.
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

/** The result of a beam step for one image. */
export interface BeamStepRef {
  readonly rows: readonly RowRef[];
  /** Which beam each new one continues. */
  readonly source: readonly number[];
  /** Smallest gap between neighbours in the ranking that was used: below 1e-5, f32 may decide otherwise. */
  readonly margin: number;
}

/** Rule "mean": candidates of all beams ranked by mean log-probability; a stopped beam continues with token 0 only. */
export function beamStepRef(
  rows: readonly RowRef[],
  logits: readonly ArrayLike<number>[],
  stop: readonly number[],
  temperature = 1,
): BeamStepRef {
  const candidates = sources(rows).flatMap((b) => {
    const row = rows[b]!;
    if (row.stopped) return [{ b, row: appendRef(row, 0, 0, stop) }];
    const logp = logSoftmax(logits[b]!, temperature > 0 ? temperature : 1);
    return topIndices(logp, rows.length + 1).map((token) => ({ b, row: appendRef(row, token, logp[token]!, stop) }));
  });
  const means = candidates.map((c) => c.row.score / c.row.length);
  const order = topIndices(means, rows.length + 1);
  const best = order.slice(0, rows.length).map((i) => candidates[i]!);
  return {
    rows: best.map((c) => c.row),
    source: best.map((c) => c.b),
    margin: smallestGap(order.map((i) => means[i]!)),
  };
}

/** Before the first token all beams are equal: only the first one counts. */
function sources(rows: readonly RowRef[]): number[] {
  return rows[0]!.tokens.length === 0 ? [0] : rows.map((_, b) => b);
}

/** Exact ties are no gap: both sides break them by index. */
function smallestGap(descending: readonly number[]): number {
  const gaps = descending.slice(1).map((x, i) => descending[i]! - x);
  return Math.min(Number.POSITIVE_INFINITY, ...gaps.filter((gap) => gap !== 0));
}

/** A finished hypothesis. */
export interface FinishedRef {
  readonly tokens: readonly number[];
  readonly score: number;
}

/** One image under the rule "length-normalised". */
export interface PooledRef {
  readonly rows: readonly RowRef[];
  /** `beams` slots, some of them still empty. */
  readonly pool: readonly (FinishedRef | undefined)[];
}

/** Rule "length-normalised" (see `BeamRule`): live beams by sum, finished hypotheses aside. */
export function pooledStepRef(
  image: PooledRef,
  logits: readonly ArrayLike<number>[],
  stop: readonly number[],
  temperature = 1,
  alpha = 1,
): PooledRef & BeamStepRef {
  const beams = image.rows.length;
  if (image.rows[0]!.stopped) {
    const rows = image.rows.map((row) => appendRef(row, 0, 0, stop));
    return { rows, source: rows.map((_, b) => b), pool: image.pool, margin: Number.POSITIVE_INFINITY };
  }
  const wanted = beams + stop.length;
  const candidates = sources(image.rows).flatMap((b) => {
    const logp = logSoftmax(logits[b]!, temperature > 0 ? temperature : 1);
    return topIndices(logp, wanted).map((token) => ({ b, token, sum: image.rows[b]!.score + logp[token]! }));
  });
  const sums = candidates.map((c) => c.sum);
  const order = topIndices(sums, sums.length);
  const pool = [...image.pool];
  const live: { readonly row: RowRef; readonly b: number }[] = [];
  let rank = 0;
  for (; live.length < beams; rank++) {
    const { b, token, sum } = candidates[order[rank]!]!;
    const tokens = [...image.rows[b]!.tokens, token];
    if (!stop.includes(token)) live.push({ b, row: { tokens, length: tokens.length, score: sum, stopped: false } });
    else if (rank < beams) offerRef(pool, { tokens, score: sum }, alpha);
  }
  const worst = Math.min(...pool.map((h) => (h ? normalised(h, alpha) : Number.NEGATIVE_INFINITY)));
  const stopped = normalised(live[0]!.row, alpha) <= worst;
  return {
    rows: live.map((l) => ({ ...l.row, stopped })),
    source: live.map((l) => l.b),
    pool,
    margin: smallestGap(order.slice(0, rank + 1).map((c) => sums[c]!)),
  };
}

export function normalised(h: FinishedRef, alpha: number): number {
  return h.score / h.tokens.length ** alpha;
}

function offerRef(pool: (FinishedRef | undefined)[], h: FinishedRef, alpha: number): void {
  const empty = pool.indexOf(undefined);
  const values = pool.map((x) => (x ? normalised(x, alpha) : Number.NEGATIVE_INFINITY));
  const slot = empty >= 0 ? empty : values.indexOf(Math.min(...values));
  if (normalised(h, alpha) > values[slot]!) pool[slot] = h;
}
