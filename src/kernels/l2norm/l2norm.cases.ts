export interface L2NormCase {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Inputs lie in (-scale, scale). */
  readonly scale: number;
}

export const L2_NORM_CASES: readonly L2NormCase[] = [
  { name: "one column", rows: 2, columns: 1, scale: 1 },
  { name: "odd", rows: 3, columns: 7, scale: 1 },
  { name: "zeros", rows: 2, columns: 12, scale: 0 },
  { name: "squares below f32", rows: 2, columns: 48, scale: 1e-25 },
  { name: "squares above f32", rows: 2, columns: 48, scale: 1e25 },
  { name: "clip embeddings", rows: 64, columns: 512, scale: 1 },
];
