import type { Command, Option } from "commander";
import { mapAhead } from "../data/ahead.js";
import { decodeImage, isUnreadable } from "../data/image/decode-node.js";
import { type CropConvention, type Preprocessing, resizeAndCrop } from "../data/image/preprocess.js";
import type { RgbImage } from "../data/image/rgb.js";
import { ClipCapError } from "../runtime/errors.js";
import { type Phase, untraced } from "../runtime/trace.js";
import { stopSignal } from "./stop.js";

/** A photo of 12 megapixels takes 36 MB until it is scaled down; libuv decodes four at once. */
const DECODED_AT_ONCE = 4;

export interface ImageOptions {
  readonly rawOrientation?: boolean;
  readonly crop?: CropConvention;
}

export const RAW_ORIENTATION = ["--raw-orientation", "ignore the orientation that phones write into photos"] as const;

export function cropOption(command: Command): Option {
  return command.createOption("--crop <rule>", "rounding of the centre crop").choices(["torchvision", "hf"]);
}

/** An image, and what its results are called by: its path, or its name in a data set. */
export interface NamedImage {
  readonly name: string;
  readonly decode: () => Promise<RgbImage>;
}

export function namedFiles(paths: readonly string[], options: ImageOptions): NamedImage[] {
  return paths.map((path) => ({ name: path, decode: () => decodeImage(path, options) }));
}

export interface ImageBatch {
  readonly names: string[];
  /** In the model's size. */
  readonly images: RgbImage[];
}

type Opened = { readonly name: string } & ({ readonly image: RgbImage } | { readonly error: unknown });

/**
 * Images in batches of `size`, in order. Decoding begins at once, runs ahead by a batch, and waits for the model's
 * `preprocessing` only then. What cannot be read is left out and goes to `complain`.
 */
export function imageBatches(
  images: readonly NamedImage[],
  size: number,
  preprocessing: Promise<Preprocessing>,
  { crop }: Pick<ImageOptions, "crop">,
  complain: (error: unknown, name: string) => void,
  phase: Phase = untraced,
): AsyncGenerator<ImageBatch> {
  preprocessing.catch(() => {}); // the caller hears of it where the model is loaded
  const ahead = { ahead: size + DECODED_AT_ONCE, atOnce: DECODED_AT_ONCE };
  const opened = mapAhead(images, ahead, (image) => open(image, preprocessing, crop, phase));
  return inBatches(opened, size, complain);
}

async function open(
  { name, decode }: NamedImage,
  preprocessing: Promise<Preprocessing>,
  crop: CropConvention | undefined,
  phase: Phase,
): Promise<Opened> {
  const decoded = await phase(`decode ${name}`, decode, "images").catch((error: unknown) => ({ error }));
  if ("error" in decoded) return { name, ...decoded };
  const target = await preprocessing;
  try {
    return { name, image: resizeAndCrop(decoded, target, crop) };
  } catch (error) {
    return {
      name,
      error: error instanceof ClipCapError ? new ClipCapError(error.code, `${name}: ${error.message}`) : error,
    };
  }
}

async function* inBatches(
  opened: AsyncGenerator<Opened>,
  size: number,
  complain: (error: unknown, name: string) => void,
): AsyncGenerator<ImageBatch> {
  let batch: ImageBatch = { names: [], images: [] };
  for await (const one of opened) {
    stopSignal.throwIfAborted();
    if ("error" in one) {
      // What is not the file's own fault (sharp is missing) would be said for every file.
      if (!isUnreadable(one.error)) throw one.error;
      complain(one.error, one.name);
      continue;
    }
    batch.names.push(one.name);
    batch.images.push(one.image);
    if (batch.images.length < size) continue;
    yield batch;
    batch = { names: [], images: [] };
  }
  if (batch.images.length > 0) yield batch;
}
