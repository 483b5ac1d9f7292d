import { columnSum } from "../kernels/columnsum/columnsum.js";
import { contrastiveLoss } from "../kernels/contrastive/contrastive.js";
import { add } from "../kernels/rows/rows.js";
import { clipText, clipVision } from "../models/clip.js";
import type { Gpt2Dropout } from "../models/gpt2.js";
import type { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";
import { type CaptionBatch, type CaptionBatchShape, captionBatch, captionLoss } from "./caption-loss.js";
import type { TrainingModel } from "./model.js";

export interface ObjectiveOptions {
  /** Factor of the contrastive loss, over all micro-batches of a step; 0 leaves it out. */
  readonly contrastive: number;
  readonly normalizePrefix: boolean;
  readonly dropout?: Gpt2Dropout;
}

/** What a batch is recorded for. */
export interface BatchShape extends CaptionBatchShape {
  /** Pictures; each has batch / images captions. */
  readonly images: number;
  /** Tokens of the longest text as CLIP's text tower takes it, start and end included; 0 without the contrastive loss. */
  readonly textTokens: number;
}

/** One batch on the GPU: images go to `input`, which all shapes share. */
export interface Batch {
  readonly shape: BatchShape;
  readonly captions: CaptionBatch;
  /** The first text of each picture: u32 [images*textTokens], and the row of each one's end, u32 [images]. */
  readonly texts?: { readonly ids: Tensor; readonly last: Tensor };
}

/** f32 [1] each, summed over the micro-batches of a step. */
export interface Losses {
  /** caption + contrastive, each with its factor. */
  readonly total: Tensor;
  /** Cross-entropy of the captions with the weights of the batch. */
  readonly caption: Tensor;
}

/** Tensors for a batch of this shape, of texts too with the contrastive loss; the host fills them before each run. */
export function recordBatch(p: Program, shape: BatchShape): Batch {
  const { images: B, textTokens } = shape;
  const texts =
    textTokens > 0
      ? { ids: p.persistent("texts", [B * textTokens], "u32"), last: p.persistent("ends", [B], "u32") }
      : undefined;
  return { shape, captions: captionBatch(p, shape), texts };
}

/**
 * The loss of one batch: `input` is pixels [B, 3, S, S] where CLIP takes part, else its embeddings [B, E]. Each loss is
 * added to `sums` (or starts it, when the run's `accumulate` is 0); returns the total, f32 [1].
 */
export function objective(
  p: Program,
  model: TrainingModel,
  input: Tensor,
  batch: Batch,
  sums: Losses,
  o: ObjectiveOptions,
): Tensor {
  const embeds = model.clip ? clipVision(p, model.clip.vision, input).embeds : input; // [B, E]
  const caption = captionLoss(p, model, embeds, batch.captions, o);
  const total = batch.texts ? add(p, caption, contrast(p, model, embeds, batch, o), { label: "loss.total" }) : caption;
  const sum = (x: Tensor, grad: Tensor) =>
    columnSum(p, x.reshape(1, 1), { grad, accumulate: p.scalar("accumulate") }, { label: grad.label });
  sum(caption, sums.caption);
  sum(total, sums.total);
  return total;
}

function contrast(p: Program, model: TrainingModel, embeds: Tensor, batch: Batch, o: ObjectiveOptions): Tensor {
  const { tower, logitScale } = model.clip!.texts!;
  const { images: B, textTokens: T } = batch.shape;
  const texts = clipText(p, tower, batch.texts!.ids, batch.texts!.last, { batch: B, tokens: T }).embeds;
  return contrastiveLoss(p, embeds, texts, logitScale, { weight: o.contrastive, label: "loss.contrastive" });
}
