export interface CrossEntropyCase {
  readonly name: string;
  /** N, V and C. */
  readonly rows: number;
  readonly vocabulary: number;
  readonly width: number;
  /** States lie in (-scale, scale), rows of the head in (-1, 1). */
  readonly scale: number;
}

export const CROSS_ENTROPY_CASES: readonly CrossEntropyCase[] = [
  { name: "one entry", rows: 1, vocabulary: 1, width: 1, scale: 1 },
  { name: "odd", rows: 3, vocabulary: 17, width: 7, scale: 1 },
  { name: "rows left over at the end", rows: 5, vocabulary: 211, width: 64, scale: 1 },
  { name: "more rows than one stage sums", rows: 131, vocabulary: 67, width: 48, scale: 0.5 },
  { name: "sure of the answer", rows: 4, vocabulary: 30, width: 16, scale: 100 },
  { name: "three chunks", rows: 512, vocabulary: 8197, width: 4, scale: 1 },
];
