import type { Preprocessing } from "../data/image/preprocess.js";
import type { Tokenizer } from "../data/tokenizer.js";
import { MAX_STOPS } from "../kernels/decode/limits.js";
import { ClipCapError } from "../runtime/errors.js";
import type { ModelFiles } from "../weights/model-files.js";

/** Some training code rounds the table of embeddings up (50,257 to 50,304), some tokenizers add a padding token. */
const MAX_SPARE_TOKENS = 1024;

/** Preprocessing must make images of the size that CLIP takes. @throws ClipCapError `bad-weights` */
export function checkImageSize({ clip }: ModelFiles, { width, height }: Preprocessing): void {
  const { imageSize } = clip.config.vision;
  if (width === imageSize && height === imageSize) return;
  throw new ClipCapError(
    "bad-weights",
    `${clip.folder.name}: preprocessor_config.json makes images of ${width}x${height}, but config.json asks for ` +
      `${imageSize}x${imageSize}; use the two files that belong together`,
  );
}

/** The tokenizer and the stop tokens of clipcap.json must be GPT-2's. @throws ClipCapError `bad-weights` */
export function checkTokens({ gpt2, manifest }: ModelFiles, { vocabSize }: Pick<Tokenizer, "vocabSize">): void {
  const { vocab } = gpt2.config;
  if (Math.abs(vocabSize - vocab) > MAX_SPARE_TOKENS) {
    throw new ClipCapError(
      "bad-weights",
      `${gpt2.folder.name}: the tokenizer has ${vocabSize} tokens, but config.json says ${vocab}; use the two files ` +
        "that belong together",
    );
  }
  const stops = manifest.stopTokens ?? [];
  if (stops.length <= MAX_STOPS && stops.every((id) => id < vocab)) return;
  throw new ClipCapError(
    "bad-weights",
    `clipcap.json of ${manifest.name}: "stop_tokens" must be at most ${MAX_STOPS} ids below ${vocab}`,
  );
}
