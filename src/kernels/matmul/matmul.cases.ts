import type { ActivationKind } from "../activation/activation.wgsl.js";
import type { MatmulShape } from "./variant.js";

export interface MatmulCase extends MatmulShape {
  readonly batch?: number;
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly activation?: ActivationKind;
}

/** Small shapes around the edges of every tile: 4 columns, 4 and 8 lanes, tiles of 1 to 64 rows, steps of 4 and 16. */
const EDGES: readonly MatmulCase[] = (["nn", "nt", "tn"] as const).flatMap((layout) => [
  { layout, M: 1, K: 4, N: 4 },
  { layout, M: 1, K: 36, N: 33 },
  { layout, M: 2, K: 64, N: 68, bias: true },
  { layout, M: 3, K: 12, N: 8, residual: true },
  { layout, M: 5, K: 100, N: 36, bias: true, activation: "gelu_new" },
  { layout, M: 8, K: 32, N: 31 },
  { layout, M: 9, K: 20, N: 40, bias: true, residual: true, activation: "tanh" },
  { layout, M: 24, K: 44, N: 64 },
  { layout, M: 52, K: 36, N: 36, bias: true, activation: "quick_gelu" },
  { layout, M: 68, K: 68, N: 132, bias: true, residual: true },
  { layout, M: 36, K: 7, N: 20, bias: true },
  { layout, M: 7, K: 5, N: 3, batch: 4 },
  { layout, M: 12, K: 16, N: 20, batch: 3, residual: true },
  { layout, M: 64, K: 64, N: 132, bias: true, residual: true },
  { layout, M: 64, K: 192, N: 128, batch: 2 },
  { layout, M: 192, K: 64, N: 36, batch: 3, bias: true },
  { layout, M: 64, K: 1537, N: 20, batch: 2, bias: true, residual: true },
]);

export const MATMUL_CASES: readonly MatmulCase[] = EDGES;

/** A case by its place in a model. */
export type NamedMatmul = Omit<MatmulCase, "batch"> & { readonly of: string };

/**
 * Real shapes, for benchmarks: CLIP ViT-B/32, GPT-2 small (prefill, greedy, beam 5), both mappers, and training: a batch of
 * 40 captions of 24 tokens, forward (nt), gradients of activations (nn) and of weights (tn).
 */
export const MATMUL_BENCH: readonly NamedMatmul[] = [
  { of: "clip patches", layout: "nt", M: 49, K: 3072, N: 768 },
  { of: "clip qkv", layout: "nt", M: 50, K: 768, N: 2304 },
  { of: "clip out", layout: "nt", M: 50, K: 768, N: 768 },
  { of: "clip fc1", layout: "nt", M: 50, K: 768, N: 3072 },
  { of: "clip fc2", layout: "nt", M: 50, K: 3072, N: 768 },
  { of: "clip fc1 of 8 images", layout: "nt", M: 400, K: 768, N: 3072 },
  { of: "clip projection", layout: "nt", M: 1, K: 768, N: 512 },
  { of: "gpt2 prefill qkv", layout: "nt", M: 10, K: 768, N: 2304 },
  { of: "gpt2 prefill out", layout: "nt", M: 10, K: 768, N: 768 },
  { of: "gpt2 prefill fc", layout: "nt", M: 10, K: 768, N: 3072 },
  { of: "gpt2 prefill proj", layout: "nt", M: 10, K: 3072, N: 768 },
  { of: "gpt2 greedy qkv", layout: "nt", M: 1, K: 768, N: 2304 },
  { of: "gpt2 greedy out", layout: "nt", M: 1, K: 768, N: 768 },
  { of: "gpt2 greedy fc", layout: "nt", M: 1, K: 768, N: 3072 },
  { of: "gpt2 greedy proj", layout: "nt", M: 1, K: 3072, N: 768 },
  { of: "gpt2 greedy logits", layout: "nt", M: 1, K: 768, N: 50257 },
  { of: "gpt2 beam 5 qkv", layout: "nt", M: 5, K: 768, N: 2304 },
  { of: "gpt2 beam 5 out", layout: "nt", M: 5, K: 768, N: 768 },
  { of: "gpt2 beam 5 fc", layout: "nt", M: 5, K: 768, N: 3072 },
  { of: "gpt2 beam 5 proj", layout: "nt", M: 5, K: 3072, N: 768 },
  { of: "gpt2 beam 5 logits", layout: "nt", M: 5, K: 768, N: 50257 },
  { of: "mlp mapper fc1", layout: "nt", M: 1, K: 512, N: 3840 },
  { of: "mlp mapper fc2", layout: "nt", M: 1, K: 3840, N: 7680 },
  { of: "gpt2-xl greedy fc", layout: "nt", M: 1, K: 1600, N: 6400 },
  { of: "gpt2-xl beam 5 fc", layout: "nt", M: 5, K: 1600, N: 6400 },
  { of: "transformer mapper input", layout: "nt", M: 1, K: 512, N: 7680 },
  { of: "transformer mapper qkv", layout: "nt", M: 20, K: 768, N: 2304 },
  { of: "transformer mapper out", layout: "nt", M: 20, K: 768, N: 768 },
  { of: "transformer mapper fc1", layout: "nt", M: 20, K: 768, N: 1536 },
  { of: "transformer mapper fc2", layout: "nt", M: 20, K: 1536, N: 768 },
  { of: "square", layout: "nt", M: 2048, K: 2048, N: 2048 },
  { of: "batch of texts", layout: "nt", M: 512, K: 768, N: 3072 },
  { of: "dX", layout: "nn", M: 512, K: 3072, N: 768 },
  { of: "dW", layout: "tn", M: 3072, K: 512, N: 768 },
  { of: "training qkv", layout: "nt", M: 960, K: 768, N: 2304 },
  { of: "training qkv dX", layout: "nn", M: 960, K: 2304, N: 768 },
  { of: "training qkv dW", layout: "tn", M: 2304, K: 960, N: 768 },
  { of: "training out", layout: "nt", M: 960, K: 768, N: 768 },
  { of: "training out dX", layout: "nn", M: 960, K: 768, N: 768 },
  { of: "training out dW", layout: "tn", M: 768, K: 960, N: 768 },
  { of: "training proj", layout: "nt", M: 960, K: 3072, N: 768 },
  { of: "training proj dX", layout: "nn", M: 960, K: 768, N: 3072 },
  { of: "training proj dW", layout: "tn", M: 768, K: 960, N: 3072 },
  { of: "training fc", layout: "nt", M: 960, K: 768, N: 3072 },
  { of: "training fc dX", layout: "nn", M: 960, K: 3072, N: 768 },
  { of: "training fc dW", layout: "tn", M: 3072, K: 960, N: 768 },
  { of: "training mapper fc1", layout: "nt", M: 800, K: 768, N: 1536 },
  { of: "training mapper dX", layout: "nn", M: 800, K: 1536, N: 768 },
  { of: "training mapper dW", layout: "tn", M: 1536, K: 800, N: 768 },
  { of: "training mlp fc1", layout: "nt", M: 40, K: 512, N: 3840 },
  { of: "training mlp fc2", layout: "nt", M: 40, K: 3840, N: 7680 },
  { of: "training mlp dX", layout: "nn", M: 40, K: 7680, N: 3840 },
  { of: "training mlp dW", layout: "tn", M: 7680, K: 40, N: 3840 },
];

/** The same with what models add in the epilogue. */
export const FUSED_BENCH: readonly NamedMatmul[] = [
  { of: "clip fc1", layout: "nt", M: 50, K: 768, N: 3072, bias: true, activation: "quick_gelu" },
  { of: "clip fc2", layout: "nt", M: 50, K: 3072, N: 768, bias: true, residual: true },
  { of: "gpt2 greedy fc", layout: "nt", M: 1, K: 768, N: 3072, bias: true, activation: "gelu_new" },
  { of: "gpt2 greedy proj", layout: "nt", M: 1, K: 3072, N: 768, bias: true, residual: true },
  { of: "gpt2 beam 5 fc", layout: "nt", M: 5, K: 768, N: 3072, bias: true, activation: "gelu_new" },
  { of: "mlp mapper fc1", layout: "nt", M: 1, K: 512, N: 3840, bias: true, activation: "tanh" },
  { of: "transformer mapper fc1", layout: "nt", M: 20, K: 768, N: 1536, bias: true, activation: "relu" },
  { of: "training fc dX", layout: "nn", M: 960, K: 3072, N: 768, residual: true },
];
