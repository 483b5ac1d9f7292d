export interface LayerNormCase {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Inputs lie in (offset - scale, offset + scale). */
  readonly scale: number;
  readonly offset: number;
}

export const LAYER_NORM_CASES: readonly LayerNormCase[] = [
  { name: "one element", rows: 1, columns: 1, scale: 1, offset: 0 },
  { name: "odd", rows: 3, columns: 7, scale: 1, offset: 0 },
  { name: "fewer columns than lanes", rows: 5, columns: 4, scale: 1, offset: 0 },
  { name: "odd width 65", rows: 17, columns: 65, scale: 2, offset: -1 },
  { name: "far from zero", rows: 4, columns: 768, scale: 2e-3, offset: 100 },
  { name: "far from zero, scalar", rows: 2, columns: 769, scale: 2e-3, offset: 100 },
  { name: "constant rows", rows: 2, columns: 64, scale: 0, offset: 3 },
  { name: "small values", rows: 2, columns: 64, scale: 1e-4, offset: 0 },
  { name: "gpt2 decode, beam 5", rows: 5, columns: 768, scale: 3, offset: 0 },
  { name: "clip-l", rows: 1, columns: 1024, scale: 3, offset: 0 },
  { name: "clip tokens", rows: 50, columns: 768, scale: 3, offset: 0 },
];
