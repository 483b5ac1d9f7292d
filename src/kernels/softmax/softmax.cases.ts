export interface SoftmaxCase {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Inputs lie in (offset - scale, offset + scale). */
  readonly scale: number;
  readonly offset: number;
}

export const SOFTMAX_CASES: readonly SoftmaxCase[] = [
  { name: "one column", rows: 3, columns: 1, scale: 5, offset: 0 },
  { name: "fewer columns than lanes", rows: 5, columns: 3, scale: 5, offset: 0 },
  { name: "odd", rows: 7, columns: 65, scale: 5, offset: 0 },
  { name: "far above zero", rows: 3, columns: 50, scale: 3, offset: 1000 },
  { name: "far below zero", rows: 3, columns: 50, scale: 3, offset: -1000 },
  { name: "one winner", rows: 2, columns: 129, scale: 500, offset: 0 },
  { name: "scores", rows: 600, columns: 50, scale: 5, offset: 0 },
  { name: "longest", rows: 2, columns: 1030, scale: 5, offset: 0 },
  { name: "vocabulary", rows: 2, columns: 50257, scale: 10, offset: 0 },
];
