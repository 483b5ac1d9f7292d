/** Batches of sequences [batch * length, columns]. */
export interface RowsCase {
  readonly name: string;
  readonly batch: number;
  readonly length: number;
  readonly columns: number;
}

export const ROWS_CASES: readonly RowsCase[] = [
  { name: "one element", batch: 1, length: 1, columns: 1 },
  { name: "odd", batch: 3, length: 5, columns: 7 },
  { name: "one token", batch: 5, length: 1, columns: 768 },
  { name: "small model prefix", batch: 2, length: 10, columns: 256 },
  { name: "clip tokens", batch: 2, length: 50, columns: 768 },
];
