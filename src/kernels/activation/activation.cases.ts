import type { ActivationKind } from "./activation.wgsl.js";

export interface ActivationCase {
  readonly name: string;
  readonly shape: readonly number[];
  /** Inputs lie in (-scale, scale). */
  readonly scale: number;
}

export const ACTIVATION_KINDS: readonly ActivationKind[] = ["none", "gelu_new", "quick_gelu", "relu", "tanh", "gelu"];

export const ACTIVATION_CASES: readonly ActivationCase[] = [
  { name: "one", shape: [1], scale: 1 },
  { name: "odd", shape: [3, 7], scale: 4 },
  { name: "tiny values", shape: [129], scale: 1e-3 },
  { name: "wide", shape: [1000], scale: 13 },
  { name: "tails", shape: [257], scale: 1e4 },
  { name: "beyond exp", shape: [64], scale: 1e30 },
  { name: "gpt2 mlp, decode", shape: [5, 3072], scale: 4 },
  { name: "clip mlp", shape: [50, 3072], scale: 4 },
];
