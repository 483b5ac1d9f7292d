import { crossEntropyBackwardRef, crossEntropyRef } from "../crossentropy/crossentropy.ref.js";
import { l2NormalizeBackwardRef, l2NormalizeRef } from "../l2norm/l2norm.ref.js";

/** The loss of images and texts [B, E] and logitScale in f64; see `contrastiveLoss`. */
export function contrastiveRef(
  images: ArrayLike<number>,
  texts: ArrayLike<number>,
  logitScale: number,
  width: number,
): number {
  const { byText, byImage, matches } = pairs(images, texts, logitScale, width);
  const B = matches.length;
  const losses = [...crossEntropyRef(byText, matches, B), ...crossEntropyRef(byImage, matches, B)];
  return losses.reduce((a, b) => a + b, 0) / (2 * B);
}

/** Its derivatives by images, texts and logitScale. */
export function contrastiveBackwardRef(
  images: ArrayLike<number>,
  texts: ArrayLike<number>,
  logitScale: number,
  width: number,
): { dimages: Float64Array; dtexts: Float64Array; dlogitScale: number } {
  const { image, text, byText, byImage, matches } = pairs(images, texts, logitScale, width);
  const B = matches.length;
  const weights = matches.map(() => 1 / (2 * B));
  const rows = crossEntropyBackwardRef(byText, matches, weights, B);
  const columns = crossEntropyBackwardRef(byImage, matches, weights, B);
  const dimage = new Float64Array(image.length);
  const dtext = new Float64Array(text.length);
  let dlogitScale = 0;
  for (let t = 0; t < B; t++) {
    for (let i = 0; i < B; i++) {
      // logit = exp(logitScale) text[t] . image[i]
      const dlogit = rows[t * B + i]! + columns[i * B + t]!;
      dlogitScale += dlogit * byText[t * B + i]!;
      for (let c = 0; c < width; c++) {
        dtext[t * width + c]! += dlogit * Math.exp(logitScale) * image[i * width + c]!;
        dimage[i * width + c]! += dlogit * Math.exp(logitScale) * text[t * width + c]!;
      }
    }
  }
  return {
    dimages: l2NormalizeBackwardRef(images, dimage, width),
    dtexts: l2NormalizeBackwardRef(texts, dtext, width),
    dlogitScale,
  };
}

/** Logits [B, B] with a row per text, and the same with a row per image. */
function pairs(images: ArrayLike<number>, texts: ArrayLike<number>, logitScale: number, width: number) {
  const image = l2NormalizeRef(images, width);
  const text = l2NormalizeRef(texts, width);
  const B = images.length / width;
  const matches = Array.from({ length: B }, (_, i) => i);
  const logit = (t: number, i: number) => {
    let sum = 0;
    for (let c = 0; c < width; c++) sum += text[t * width + c]! * image[i * width + c]!;
    return Math.exp(logitScale) * sum;
  };
  const byText = Float64Array.from({ length: B * B }, (_, at) => logit(Math.floor(at / B), at % B));
  const byImage = Float64Array.from({ length: B * B }, (_, at) => logit(at % B, Math.floor(at / B)));
  return { image, text, byText, byImage, matches };
}
