import type { CaptionedImage } from "../data/captions/dataset.js";
import { type Augmentation, augment } from "../data/image/augment.js";
import { type Preprocessing, preprocess, resizeAndCrop } from "../data/image/preprocess.js";
import type { RgbImage } from "../data/image/rgb.js";
import { random } from "../data/random.js";
import { readOr, type Unreadable } from "./pictures.js";

/** What the network sees of the pictures of a data set, by their number in it. */
export interface ImageInput {
  /** Of one picture: [3, S, S] or [E]. */
  readonly shape: readonly number[];
  /** Values of one picture; `epoch` where it is seen for training, which may change it at random. */
  values(image: number, epoch?: number): Promise<Float32Array>;
}

export interface PixelOptions {
  readonly preprocessing: Preprocessing;
  readonly augmentation: Augmentation | undefined;
  readonly seed: number;
  /** Hears, once of each, of pictures that cannot be read; without it they are errors. */
  readonly unreadable?: Unreadable | undefined;
}

/** Decoded pictures that are kept: 6,000 of 160 x 160 pixels take 460 MB. What does not fit is decoded again. */
const KEPT_BYTES = 2 ** 30;

/**
 * Pixels for CLIP. Without augmentation pictures are kept in the network's size, else as they were decoded. A picture that
 * cannot be read, or not any more, is an evenly grey one from then on: a run of days must not end, nor its order change,
 * because one file of 100,000 went.
 */
export function pixelInput(
  images: readonly CaptionedImage[],
  { preprocessing, augmentation, seed, unreadable = refuse }: PixelOptions,
): ImageInput {
  const { width, height } = preprocessing;
  const kept = new Map<number, RgbImage>();
  let keptBytes = 0;
  const grey = { width, height, data: new Uint8Array(3 * width * height).fill(128) };
  const open = async (image: number): Promise<RgbImage> => {
    const known = kept.get(image);
    if (known) return known;
    const standIn: Unreadable = (picture, error) => {
      if (kept.has(image)) return; // it was asked for twice at the same time
      unreadable(picture, error);
      kept.set(image, grey);
    };
    const decoded = await readOr(standIn, images[image]!, images[image]!.decode());
    if (!decoded) return kept.get(image)!;
    const picture = augmentation ? decoded : resizeAndCrop(decoded, preprocessing);
    if (keptBytes + picture.data.length <= KEPT_BYTES && !kept.has(image)) {
      kept.set(image, picture);
      keptBytes += picture.data.length;
    }
    return picture;
  };
  return {
    shape: [3, height, width],
    async values(image, epoch) {
      const picture = await open(image);
      if (epoch === undefined || !augmentation) return preprocess(picture, preprocessing);
      const numbers = random(seed, "augment", epoch, image);
      return preprocess(augment(picture, width, height, augmentation, numbers), preprocessing);
    },
  };
}

const refuse: Unreadable = (_, error) => {
  throw error;
};

/** CLIP's embeddings, computed before: f32 [images, E]. */
export function embeddingInput(embeddings: Float32Array, width: number): ImageInput {
  return {
    shape: [width],
    values: async (image) => embeddings.subarray(image * width, (image + 1) * width),
  };
}
