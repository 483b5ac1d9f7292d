/** CLIPScore (Hessel et al. 2021): how well a caption fits its picture, by CLIP's embeddings of both. */
import { ClipCapError } from "../runtime/errors.js";

/** Stands before every caption and reference whose embedding is scored, as in the original's code. */
export const CLIP_SCORE_PROMPT = "A photo depicts ";

/** The paper's w, which spreads cosines of real pairs over [0, 1]. */
const WEIGHT = 2.5;

/**
 * 2.5 max(cos(image, caption), 0); embeddings of one width and any length. The corpus's score is the mean.
 * @param caption of `CLIP_SCORE_PROMPT` with the caption behind
 */
export function clipScore(image: ArrayLike<number>, caption: ArrayLike<number>): number {
  return WEIGHT * Math.max(cosine(image, caption), 0);
}

/**
 * Harmonic mean of CLIPScore and of the caption's largest cosine with a reference caption, 0 where that is negative.
 * @param caption of `CLIP_SCORE_PROMPT` with the caption behind
 * @param references at least one embedding of a reference caption, made in the same way
 */
export function refClipScore(
  image: ArrayLike<number>,
  caption: ArrayLike<number>,
  references: readonly ArrayLike<number>[],
): number {
  const toImage = clipScore(image, caption);
  const toReferences = references.reduce((best, reference) => Math.max(best, cosine(caption, reference)), 0);
  return toImage > 0 && toReferences > 0 ? (2 * toImage * toReferences) / (toImage + toReferences) : 0;
}

/** In f64; 0 where a vector is zero. */
function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new ClipCapError("bad-input", `embeddings have ${a.length} and ${b.length} values; take both from one CLIP`);
  }
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  const norms = Math.sqrt(aa) * Math.sqrt(bb);
  return norms > 0 ? dot / norms : 0;
}
