/** How much faster than the usual variant another must be in the median, so that noise changes no kernels. */
export const MARGIN = 0.05;

export interface Winner {
  readonly variant: string;
  /** Times as fast as the usual variant; 1 where that wins, or was not measured. */
  readonly speedup: number;
}

/**
 * The variant to take, given the times of each: `laps.get(name)[round]`. Variants are compared within rounds, where they
 * took turns: another than the usual one must be faster in every round but one, and by MARGIN in the median, so that
 * neither a drifting clock nor a disturbed round decides. Without times of the usual variant (it computed wrongly) the
 * fastest other one wins.
 * @returns undefined where nothing was measured
 */
export function winner(usual: string, laps: ReadonlyMap<string, readonly number[]>): Winner | undefined {
  const base = laps.get(usual);
  let best: { readonly variant: string; readonly time: number } | undefined;
  for (const [variant, times] of laps) {
    const relative = base ? times.map((ms, round) => ms / base[round]!) : times;
    const time = median(relative);
    const defeats = relative.filter((r) => r >= 1).length;
    if (base && variant !== usual && (defeats > 1 || time > 1 - MARGIN)) continue;
    if (!best || time < best.time) best = { variant, time };
  }
  return best && { variant: best.variant, speedup: base ? 1 / best.time : 1 };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
