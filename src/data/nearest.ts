/** One of many vectors, by its number, and the cosine of its angle to what was looked for. */
export interface Neighbour {
  readonly index: number;
  readonly cosine: number;
}

/**
 * The `count` vectors that point most nearly in the direction of `query`, best first; of equal ones the earlier.
 * @param vectors rows as long as the query
 * @param rows which of them are meant; a neighbour's index counts these
 */
export function nearest(
  query: Float32Array,
  vectors: Float32Array,
  rows: ArrayLike<number>,
  count: number,
): Neighbour[] {
  const length = Math.sqrt(query.reduce((sum, x) => sum + x * x, 0));
  const best: Neighbour[] = [];
  for (let index = 0; index < rows.length; index++) {
    const found = cosine(query, vectors, rows[index]! * query.length, length);
    if (best.length === count && found <= best[count - 1]!.cosine) continue;
    let at = best.length;
    while (at > 0 && best[at - 1]!.cosine < found) at--;
    best.splice(at, 0, { index, cosine: found });
    best.length = Math.min(best.length, count);
  }
  return best;
}

/** Of `a` and the vector that begins at `at`. @param length of `a` */
function cosine(a: Float32Array, vectors: Float32Array, at: number, length: number): number {
  let [dot, squares] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const x = vectors[at + i]!;
    dot += a[i]! * x;
    squares += x * x;
  }
  return squares > 0 && length > 0 ? dot / (length * Math.sqrt(squares)) : 0;
}
