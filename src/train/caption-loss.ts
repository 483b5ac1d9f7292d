import { crossEntropy } from "../kernels/crossentropy/crossentropy.js";
import { embedding, gatherIndexed } from "../kernels/embedding/embedding.js";
import { addPositions, concatRows, repeatRows } from "../kernels/rows/rows.js";
import { type Gpt2, type Gpt2Dropout, gpt2FinalNorm, gpt2Prefill } from "../models/gpt2.js";
import { type Mapper, prefixOf } from "../models/mapper.js";
import type { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";

/** The shape that a caption batch is recorded for. */
export interface CaptionBatchShape {
  /** Sequences: one for each picture, or as many; then all pictures' first ones come before their second ones. */
  readonly batch: number;
  /** T: tokens of the longest caption. */
  readonly tokens: number;
  /** N: labelled positions, at most B*T; padding is never projected onto the vocabulary. */
  readonly labels: number;
}

/** One batch on the GPU. */
export interface CaptionBatch extends CaptionBatchShape {
  /** u32 [B*T], padded on the right with anything: causal attention keeps it from the labelled positions. */
  readonly ids: Tensor;
  /** u32 [N]: rows of the joined sequences [B*(K+T)] whose state predicts a label; see `labelledRows`. */
  readonly rows: Tensor;
  /** u32 [N] */
  readonly targets: Tensor;
  /** f32 [N]: 1 / number of labels, over all micro-batches of a step; 0 for rows that only fill the shape. */
  readonly weights: Tensor;
}

/** Tensors for a batch of this shape; the host fills them before each run. */
export function captionBatch(p: Program, shape: CaptionBatchShape): CaptionBatch {
  const { batch: B, tokens: T, labels: N } = shape;
  return {
    ...shape,
    ids: p.persistent("ids", [B * T], "u32"),
    rows: p.persistent("rows", [N], "u32"),
    targets: p.persistent("targets", [N], "u32"),
    weights: p.persistent("weights", [N]),
  };
}

/** Host side of a batch: which rows are labelled and with what. Position K-1+t predicts token t (docs/facts.md 3). */
export function labelledRows(
  captions: readonly (readonly number[])[],
  { prefixLength: K, tokens: T }: { prefixLength: number; tokens: number },
): { rows: number[]; targets: number[] } {
  const rows = captions.flatMap((caption, b) => caption.map((_, t) => b * (K + T) + K - 1 + t));
  return { rows, targets: captions.flat() };
}

/**
 * ClipCap's objective: cross-entropy of every caption token given the image's prefix and the tokens before it.
 * CLIP's embeddings [pictures, E] -> loss [1]; the B captions are a multiple of the pictures. Gradients reach whatever
 * asks for one: mapper, GPT-2, or what made `embeds`. Dropout is that of GPT-2 while it learns; the original runs a
 * frozen GPT-2 without.
 */
export function captionLoss(
  p: Program,
  { mapper, gpt2 }: { readonly mapper: Mapper; readonly gpt2: Gpt2 },
  embeds: Tensor,
  b: CaptionBatch,
  { dropout, normalizePrefix = false }: { readonly dropout?: Gpt2Dropout; readonly normalizePrefix?: boolean } = {},
): Tensor {
  const K = mapper.config.prefixLength;
  const own = prefixOf(p, { mapper, normalizePrefix }, embeds); // [pictures*K, C]
  const times = (b.batch * K) / own.rows;
  const prefix = times === 1 ? own : repeatRows(p, own, times, { label: "gpt2.prefixes" }); // [B*K, C]
  const length = K + b.tokens;
  const text = embedding(p, b.ids, gpt2.wte, { label: "gpt2.text" }); // [B*T, C]
  const joined = concatRows(p, prefix, text, { batch: b.batch, label: "gpt2.input" });
  const x = addPositions(p, joined, gpt2.wpe, { start: 0, period: length, label: "gpt2.positions" });
  const hidden = gpt2Prefill(p, gpt2, x, { batch: b.batch, tokens: length, dropout });
  const labelled = gatherIndexed(p, hidden.at(-1)!, b.rows, { label: "gpt2.labelled" }); // [N, C]
  const states = gpt2FinalNorm(p, gpt2, labelled);
  return crossEntropy(p, states, gpt2.wte, b.targets, { weights: b.weights, label: "loss" }).loss;
}
