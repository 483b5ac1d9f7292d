/** How long one turn of the work may take before a curve ends: by then it shows where it goes. */
const LONGEST_TURN_MS = 12_000;

/**
 * The points of a curve, from small to large, until the next one would take too long if cost grows like the point.
 * @param measure gives the time of one turn in ms
 */
export async function* growing<T>(
  points: readonly number[],
  measure: (point: number) => Promise<{ readonly ms: number; readonly found: readonly T[] }>,
): AsyncGenerator<T> {
  let perPoint = 0;
  for (const point of points) {
    if (perPoint * point > LONGEST_TURN_MS) return;
    const { ms, found } = await measure(point);
    perPoint = ms / point;
    yield* found;
  }
}

/** Turns of work that takes `ms` each, so that they come to about three seconds. */
export function turns(ms: number): number {
  return Math.max(2, Math.min(9, Math.round(3000 / ms)));
}
