import { mapAhead } from "../data/ahead.js";
import type { CaptionedImage } from "../data/captions/dataset.js";
import { isUnreadable } from "../data/image/decode-node.js";
import { type CropConvention, type Preprocessing, resizeAndCrop } from "../data/image/preprocess.js";
import type { RgbImage } from "../data/image/rgb.js";
import type { ClipCap } from "../models/clipcap.js";
import type { CaptionOptions } from "../models/options.js";
import type { ClipCapError } from "../runtime/errors.js";
import type { Captioned, EvalFiles, Unreadable } from "./node-files.js";

/** A photo of 12 megapixels takes 36 MB until it is scaled down; libuv decodes four at once. */
const DECODED_AT_ONCE = 4;

export interface CaptioningOptions {
  readonly decoding: CaptionOptions;
  /** Images at once. */
  readonly batch: number;
  readonly crop?: CropConvention | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number) => void;
  /** Called for images that cannot be read. */
  readonly onUnreadable: (error: ClipCapError) => void;
}

/** Captions the images that `files` has no lines of yet, batch by batch. Each picture goes through CLIP once. */
export async function captionRest(
  model: ClipCap,
  images: readonly CaptionedImage[],
  files: EvalFiles,
  { decoding, batch, crop, signal, onProgress, onUnreadable }: CaptioningOptions,
): Promise<void> {
  const rest = images.slice(files.lines.length);
  const ahead = { ahead: batch + DECODED_AT_ONCE, atOnce: DECODED_AT_ONCE };
  const opened = mapAhead(rest, ahead, (image) => open(image, model.preprocessing, crop));
  for (let i = 0; i < rest.length; i += batch) {
    const own = await take(opened, Math.min(batch, rest.length - i));
    signal.throwIfAborted();
    const readable = own.filter((one): one is Opened => "picture" in one);
    const options = { batch, signal };
    const embeddings = await model.embed(
      readable.map(({ picture }) => picture),
      options,
    );
    const captions = await model.captionEmbeddings(embeddings, { ...decoding, ...options });
    const lines = new Map<string, Captioned>();
    readable.forEach(({ id }, k) => {
      const { text, tokens, logprob } = captions[k]![0]!;
      lines.set(id, { id, caption: text, tokens, logprob: Number(logprob.toPrecision(7)) });
    });
    for (const one of own) if ("cause" in one) onUnreadable(one.cause);
    await files.append(
      own.map((one) => ("cause" in one ? { id: one.id, error: one.error } : lines.get(one.id)!)),
      embeddings,
    );
    onProgress(files.lines.length);
  }
}

interface Opened {
  readonly id: string;
  /** In the model's size. */
  readonly picture: RgbImage;
}

/** What is not the picture's own fault (sharp is missing) would come back for every one, and is thrown. */
async function open(
  image: CaptionedImage,
  target: Preprocessing,
  crop: CropConvention | undefined,
): Promise<Opened | (Unreadable & { readonly cause: ClipCapError })> {
  const { id } = image;
  try {
    return { id, picture: resizeAndCrop(await image.decode(), target, crop) };
  } catch (cause) {
    if (!isUnreadable(cause)) throw cause;
    return { id, error: cause.code, cause };
  }
}

async function take<T>(from: AsyncGenerator<T>, count: number): Promise<T[]> {
  const items: T[] = [];
  while (items.length < count) items.push((await from.next()).value as T);
  return items;
}
