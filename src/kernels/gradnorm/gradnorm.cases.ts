export interface GradNormCase {
  readonly name: string;
  /** Elements of each flat gradient. */
  readonly sizes: readonly number[];
  readonly scale: number;
}

export const GRADNORM_CASES: readonly GradNormCase[] = [
  { name: "one vector", sizes: [4], scale: 1 },
  { name: "fewer vectors than a group has invocations", sizes: [64, 128], scale: 1e-7 },
  { name: "one vector beyond a group", sizes: [4 * 64 * 64 + 4], scale: 10 },
  { name: "several of several groups", sizes: [70_000, 192, 33_024], scale: 0.01 },
  { name: "three stages", sizes: [1_600_000, 64], scale: 1 },
];
