export interface ContrastiveCase {
  readonly name: string;
  /** B and E. */
  readonly batch: number;
  readonly width: number;
  /** Logarithm of the inverse temperature; CLIP begins at 2.66 and trains to 4.6. */
  readonly logitScale: number;
}

export const CONTRASTIVE_CASES: readonly ContrastiveCase[] = [
  { name: "one pair", batch: 1, width: 5, logitScale: 1 },
  { name: "odd", batch: 3, width: 7, logitScale: 0 },
  { name: "negative scale", batch: 4, width: 8, logitScale: -2 },
  { name: "as CLIP begins", batch: 16, width: 12, logitScale: 2.66 },
  { name: "as CLIP ends", batch: 9, width: 16, logitScale: 4.6 },
];
