export interface DropoutCase {
  readonly name: string;
  readonly shape: readonly number[];
  readonly rate: number;
  readonly seed: number;
  readonly site: number;
}

export const DROPOUT_CASES: readonly DropoutCase[] = [
  { name: "one element", shape: [1], rate: 0.5, seed: 1, site: 0 },
  { name: "odd", shape: [3, 7], rate: 0.1, seed: 7, site: 3 },
  { name: "nearly all dropped", shape: [129], rate: 0.99, seed: 2, site: 1 },
  { name: "largest seed and site", shape: [2, 5, 64], rate: 0.3, seed: 4_294_967_295, site: 4_294_967_295 },
  { name: "residual stream", shape: [208, 768], rate: 0.1, seed: 12, site: 24 },
];
