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

export interface ImageBatch {
  readonly files: string[];
  /** In the model's size. */
  readonly images: RgbImage[];
}

type Opened = { readonly file: string } & ({ readonly image: RgbImage } | { readonly error: unknown });

/**
 * The images of the files in batches of `size`, in order. Decoding begins at once, runs ahead by a batch, and waits for
 * the model's `preprocessing` only then. Files that cannot be read are left out and go to `complain`.
 */
export function imageBatches(
  files: readonly string[],
  size: number,
  preprocessing: Promise<Preprocessing>,
  options: ImageOptions,
  complain: (error: unknown, file: string) => void,
  phase: Phase = untraced,
): AsyncGenerator<ImageBatch> {
  preprocessing.catch(() => {}); // the caller hears of it where the model is loaded
  const ahead = { ahead: size + DECODED_AT_ONCE, atOnce: DECODED_AT_ONCE };
  const opened = mapAhead(files, ahead, (file) => open(file, preprocessing, options, phase));
  return inBatches(opened, size, complain);
}

async function open(
  file: string,
  preprocessing: Promise<Preprocessing>,
  options: ImageOptions,
  phase: Phase,
): Promise<Opened> {
  const decode = () => decodeImage(file, options);
  const decoded = await phase(`decode ${file}`, decode, "images").catch((error: unknown) => ({ error }));
  if ("error" in decoded) return { file, ...decoded };
  const target = await preprocessing;
  try {
    return { file, image: resizeAndCrop(decoded, target, options.crop) };
  } catch (error) {
    return {
      file,
      error: error instanceof ClipCapError ? new ClipCapError(error.code, `${file}: ${error.message}`) : error,
    };
  }
}

async function* inBatches(
  opened: AsyncGenerator<Opened>,
  size: number,
  complain: (error: unknown, file: string) => void,
): AsyncGenerator<ImageBatch> {
  let batch: ImageBatch = { files: [], images: [] };
  for await (const one of opened) {
    stopSignal.throwIfAborted();
    if ("error" in one) {
      // What is not the file's own fault (sharp is missing) would be said for every file.
      if (!isUnreadable(one.error)) throw one.error;
      complain(one.error, one.file);
      continue;
    }
    batch.files.push(one.file);
    batch.images.push(one.image);
    if (batch.images.length < size) continue;
    yield batch;
    batch = { files: [], images: [] };
  }
  if (batch.images.length > 0) yield batch;
}
