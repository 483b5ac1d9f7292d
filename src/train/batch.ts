import { labelledRows } from "./caption-loss.js";
import type { BatchShape } from "./objective.js";

/** A caption in tokens. */
export interface Text {
  /** GPT-2's, what is learnt; cut to fit its positions. */
  readonly gpt2: readonly number[];
  /** CLIP's, start and end included; empty without the contrastive loss. */
  readonly clip: readonly number[];
}

/** A batch as it is written to the GPU. */
export interface HostBatch {
  readonly shape: BatchShape;
  /** f32 [images, …]: pixels or embeddings. */
  readonly input: Float32Array;
  readonly ids: Uint32Array;
  readonly rows: Uint32Array;
  readonly targets: Uint32Array;
  readonly weights: Float32Array;
  readonly texts: Uint32Array;
  readonly ends: Uint32Array;
}

/** A program is recorded for each length; lengths are rounded up to multiples of this, so that there are few of them. */
const TOKEN_STEP = 4;

export interface PackOptions {
  readonly prefixLength: number;
  /** Longest caption that GPT-2 has positions for, and longest text that CLIP has. */
  readonly maxTokens: number;
  readonly maxTextTokens: number;
  /** Of each labelled token: the factor of the loss / labels in all micro-batches of the step. */
  readonly weight: number;
  /** Labels that count nothing, for the original's `ignore_index`. */
  readonly ignored?: number;
}

/** Labels that count; a step's weight is 1 over their number. */
export function countLabels(texts: readonly Text[], ignored?: number): number {
  return texts.reduce((n, { gpt2 }) => n + gpt2.filter((id) => id !== ignored).length, 0);
}

/** The shape of a batch: as short as its longest text allows, with rows of labels for a multiple of B. */
export function shapeOf(
  texts: readonly Text[],
  images: number,
  o: Pick<PackOptions, "maxTokens" | "maxTextTokens">,
): BatchShape {
  const batch = texts.length;
  const lengths = texts.map(({ gpt2 }) => gpt2.length);
  const compared = texts.slice(0, images).map(({ clip }) => clip.length); // with the pictures, by the contrastive loss
  return {
    images,
    batch,
    tokens: roundedLength(lengths, o.maxTokens),
    labels: batch * Math.ceil(lengths.reduce((n, length) => n + length, 0) / batch),
    textTokens: roundedLength(compared, o.maxTextTokens),
  };
}

/** Pads texts to the shape of a batch. They are the first ones of all pictures, then the second ones, and so on. */
export function packBatch(texts: readonly Text[], images: number, input: Float32Array, o: PackOptions): HostBatch {
  const shape = shapeOf(texts, images, o);
  const { tokens: T, labels, textTokens } = shape;
  const first = texts.slice(0, images);
  const { rows, targets } = labelledRows(
    texts.map(({ gpt2 }) => gpt2),
    { prefixLength: o.prefixLength, tokens: T },
  );
  const weights = new Float32Array(labels);
  targets.forEach((id, i) => {
    weights[i] = id === o.ignored ? 0 : o.weight;
  });
  return {
    shape,
    input,
    ids: padded(
      texts.map(({ gpt2 }) => gpt2),
      T,
    ),
    rows: Uint32Array.from({ length: labels }, (_, i) => rows[i] ?? 0),
    targets: Uint32Array.from({ length: labels }, (_, i) => targets[i] ?? 0),
    weights,
    texts: padded(
      first.map(({ clip }) => clip),
      textTokens,
    ),
    ends: Uint32Array.from(first, ({ clip }, b) => b * textTokens + Math.max(0, clip.length - 1)),
  };
}

/** The longest length, rounded up to a multiple of TOKEN_STEP where `most` allows. */
function roundedLength(lengths: readonly number[], most: number): number {
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  return Math.min(most, TOKEN_STEP * Math.ceil(longest / TOKEN_STEP));
}

/** Rows of T ids, filled up with 0: causal attention keeps what stands behind a text from it. */
function padded(texts: readonly (readonly number[])[], T: number): Uint32Array {
  const out = new Uint32Array(texts.length * T);
  texts.forEach((ids, b) => {
    out.set(ids, b * T);
  });
  return out;
}
