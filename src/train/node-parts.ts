import type { CaptionedImage } from "../data/captions/dataset.js";
import { usualStops } from "../models/options.js";
import type { TrainConfig } from "./config.js";
import { type ImageInput, pixelInput } from "./images.js";
import { type TrainingData, tokenize } from "./node-data.js";
import type { Networks } from "./node-networks.js";
import type { Unreadable } from "./pictures.js";
import type { TrainingParts } from "./training.js";

/** Embeddings of the pictures, where CLIP is not trained. */
export interface EmbeddedPictures {
  readonly train: ImageInput;
  readonly dev: ImageInput;
}

/** The networks and the data as a run takes them; without `inputs` the pictures themselves, which may be `unreadable`. */
export function trainingParts(
  config: TrainConfig,
  networks: Networks,
  data: TrainingData,
  inputs: EmbeddedPictures | undefined,
  unreadable?: Unreadable,
): TrainingParts & { readonly cut: number } {
  const { preprocessing } = networks.clip;
  const { seed, train } = config;
  const contrastive = config.loss.contrastive > 0;
  const set = (images: readonly CaptionedImage[], input: ImageInput | undefined) => {
    const { texts, cut } = tokenize(images, networks, { endToken: config.data.endToken, contrastive });
    const pixels = () => pixelInput(images, { preprocessing, augmentation: config.augment, seed, unreadable });
    return { images, texts, input: input ?? pixels(), cut };
  };
  const { clip, mapper, gpt2 } = networks;
  const trained = (part: TrainConfig["train"][number]) => ({ trained: train.includes(part) });
  const sets = { train: set(data.train, inputs?.train), dev: set(data.dev, inputs?.dev) };
  return {
    config,
    sources: {
      ...(train.includes("clip") && { clip: { ...clip, ...trained("clip") } }),
      mapper: { ...mapper, ...trained("mapper") },
      gpt2: { ...gpt2, ...trained("gpt2") },
    },
    ...sets,
    stop: usualStops(gpt2.tokenizer, gpt2.config),
    cut: sets.train.cut + sets.dev.cut,
  };
}
