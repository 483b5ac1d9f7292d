export interface AttentionCase {
  readonly name: string;
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly headSize: number;
  readonly causal: boolean;
  readonly keyLengths?: readonly number[];
  readonly dropout?: { readonly rate: number; readonly seed: number; readonly site: number };
  /** `packed`: one q|k|v matrix; `split`: q, and one k|v matrix; `heads`: three [B, H, T, D]. */
  readonly layout: "packed" | "split" | "heads";
  /** Inputs lie in (-amplitude, amplitude); 11 at D = 64 makes scores of about +-80. */
  readonly amplitude?: number;
}

const one = { batch: 1, causal: false, layout: "packed" } as const;

export const attentionCases: readonly AttentionCase[] = [
  { ...one, name: "CLIP B/32", queries: 50, keys: 50, heads: 12, headSize: 64 },
  { ...one, name: "CLIP batch", batch: 3, queries: 50, keys: 50, heads: 2, headSize: 64 },
  { ...one, name: "GPT-2 prompt", queries: 24, keys: 24, heads: 12, headSize: 64, causal: true },
  { ...one, name: "mapper", queries: 20, keys: 20, heads: 8, headSize: 96 },
  { ...one, name: "mapper for gpt2-medium", queries: 20, keys: 20, heads: 2, headSize: 128 },
  { ...one, name: "mapper for gpt2-xl", queries: 20, keys: 20, heads: 2, headSize: 200 },
  {
    ...one,
    name: "tiny, batch and lengths",
    batch: 4,
    queries: 9,
    keys: 9,
    heads: 4,
    headSize: 16,
    keyLengths: [9, 1, 5, 8],
  },
  {
    ...one,
    name: "causal with lengths",
    batch: 3,
    queries: 19,
    keys: 19,
    heads: 3,
    headSize: 8,
    causal: true,
    keyLengths: [19, 1, 7],
  },
  { ...one, name: "one token", queries: 1, keys: 1, heads: 4, headSize: 16, causal: true },
  { ...one, name: "three tokens", queries: 3, keys: 3, heads: 4, headSize: 16, causal: true },
  { ...one, name: "257 tokens", queries: 257, keys: 257, heads: 1, headSize: 64 },
  { ...one, name: "1024 tokens", queries: 1024, keys: 1024, heads: 1, headSize: 64, causal: true },
  { ...one, name: "large scores", queries: 33, keys: 33, heads: 2, headSize: 64, amplitude: 11 },
  { ...one, name: "cross-length", batch: 2, queries: 7, keys: 21, heads: 4, headSize: 16, layout: "split" },
  { ...one, name: "causal cross-length", queries: 5, keys: 40, heads: 12, headSize: 64, causal: true, layout: "split" },
  { ...one, name: "one query", batch: 5, queries: 1, keys: 60, heads: 12, headSize: 64, layout: "split" },
  {
    ...one,
    name: "more queries than keys",
    queries: 6,
    keys: 4,
    heads: 2,
    headSize: 16,
    causal: true,
    layout: "split",
  },
  { ...one, name: "heads apart", batch: 2, queries: 13, keys: 17, heads: 3, headSize: 24, layout: "heads" },
  { ...one, name: "largest head", queries: 3, keys: 18, heads: 1, headSize: 240, layout: "split" },
  { ...one, name: "D = 5", batch: 2, queries: 10, keys: 10, heads: 3, headSize: 5, causal: true },
  { ...one, name: "D = 1", queries: 4, keys: 4, heads: 2, headSize: 1 },
  {
    ...one,
    name: "GPT-2 fine-tuning",
    batch: 2,
    queries: 26,
    keys: 26,
    heads: 12,
    headSize: 64,
    causal: true,
    dropout: { rate: 0.1, seed: 5, site: 4 },
  },
  {
    ...one,
    name: "dropout with lengths",
    batch: 3,
    queries: 19,
    keys: 19,
    heads: 3,
    headSize: 8,
    causal: true,
    keyLengths: [19, 1, 7],
    dropout: { rate: 0.5, seed: 4_294_967_295, site: 1 },
  },
  {
    ...one,
    name: "dropout, cross-length",
    batch: 2,
    queries: 7,
    keys: 21,
    heads: 4,
    headSize: 16,
    layout: "split",
    dropout: { rate: 0.3, seed: 0, site: 0 },
  },
  {
    ...one,
    name: "dropout, D = 5",
    batch: 2,
    queries: 10,
    keys: 10,
    heads: 3,
    headSize: 5,
    dropout: { rate: 0.9, seed: 1, site: 7 },
  },
];

export interface CachedAttentionCase {
  readonly name: string;
  readonly rows: number;
  readonly tokens: number;
  readonly heads: number;
  readonly headSize: number;
  readonly keys: number;
  readonly capacity: number;
  readonly amplitude?: number;
}

export const cachedAttentionCases: readonly CachedAttentionCase[] = [
  { name: "GPT-2 beam 5", rows: 5, tokens: 1, heads: 12, headSize: 64, keys: 60, capacity: 77 },
  { name: "greedy", rows: 1, tokens: 1, heads: 12, headSize: 64, keys: 33, capacity: 64 },
  { name: "first token", rows: 2, tokens: 1, heads: 4, headSize: 16, keys: 1, capacity: 8 },
  { name: "full cache", rows: 3, tokens: 1, heads: 4, headSize: 16, keys: 21, capacity: 21 },
  { name: "D = 96", rows: 2, tokens: 1, heads: 8, headSize: 96, keys: 9, capacity: 20 },
  { name: "D = 8", rows: 4, tokens: 1, heads: 3, headSize: 8, keys: 15, capacity: 16 },
  { name: "D = 5", rows: 3, tokens: 2, heads: 3, headSize: 5, keys: 12, capacity: 16 },
  { name: "long", rows: 1, tokens: 1, heads: 1, headSize: 64, keys: 1000, capacity: 1024 },
  { name: "large scores", rows: 2, tokens: 1, heads: 2, headSize: 64, keys: 40, capacity: 40, amplitude: 11 },
  { name: "text prompt", rows: 2, tokens: 11, heads: 4, headSize: 64, keys: 21, capacity: 32 },
  { name: "prompt alone", rows: 2, tokens: 9, heads: 4, headSize: 16, keys: 9, capacity: 9 },
];
