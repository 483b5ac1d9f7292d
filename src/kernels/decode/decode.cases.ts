/** Rows of logits for tests and benchmarks: the candidates kept per row are beams, or beams and stop tokens. */
export interface RowTopCase {
  readonly rows: number;
  readonly vocab: number;
  readonly k: number;
}

export const ROW_TOP_CASES: readonly RowTopCase[] = [
  { rows: 1, vocab: 1, k: 1 },
  { rows: 3, vocab: 23, k: 5 },
  { rows: 2, vocab: 211, k: 16 },
  { rows: 4, vocab: 4096, k: 9 },
  { rows: 5, vocab: 50_257, k: 5 },
  { rows: 2, vocab: 50_257, k: 32 },
];
