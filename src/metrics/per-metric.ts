/** One value for each of the metrics that are always computed together. */
export interface PerMetric<T> {
  /** BLEU-1 to BLEU-4. */
  readonly bleu: readonly [T, T, T, T];
  readonly rougeL: T;
  readonly ciderD: T;
}

/** In the order in which `listMetrics` gives values. */
export const METRIC_NAMES = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"] as const;

/** The six values in the order of METRIC_NAMES. */
export function listMetrics<T>({ bleu, rougeL, ciderD }: PerMetric<T>): T[] {
  return [...bleu, rougeL, ciderD];
}

/** The inverse of listMetrics: `of` is asked for each place in METRIC_NAMES. */
export function perMetric<T>(of: (metric: number) => T): PerMetric<T> {
  return { bleu: [of(0), of(1), of(2), of(3)], rougeL: of(4), ciderD: of(5) };
}
