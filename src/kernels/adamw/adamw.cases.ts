export interface AdamWCase {
  readonly name: string;
  readonly size: number;
  readonly t: number;
  /** Standard size of the gradients. */
  readonly scale: number;
}

export const ADAMW_CASES: readonly AdamWCase[] = [
  { name: "one vector, first update", size: 4, t: 1, scale: 1 },
  { name: "odd vectors, tiny gradients", size: 132, t: 2, scale: 1e-7 },
  { name: "one vector beyond a group", size: 4 * 64 * 16 + 4, t: 250, scale: 1e-3 },
  { name: "series and exponential meet", size: 4096, t: 500, scale: 0.1 },
  { name: "just above", size: 4096, t: 501, scale: 0.1 },
  { name: "a small mapper", size: 300_000, t: 100_000, scale: 0.01 },
];
