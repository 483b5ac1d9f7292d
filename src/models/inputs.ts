import type { RgbImage } from "../data/image/rgb.js";
import { ClipCapError } from "../runtime/errors.js";
import type { CaptionOptions } from "./options.js";

export function stopIfAborted({ signal }: Pick<CaptionOptions, "signal">): void {
  if (signal?.aborted) throw new ClipCapError("aborted", "the call was stopped by its signal");
}

/** Without types one image is easily given instead of a list. */
function checkList(what: string, list: readonly unknown[]): void {
  if (!Array.isArray(list))
    throw new ClipCapError("bad-usage", `${what} must be a list, such as [${what.slice(0, -1)}]`);
}

/** Nor do holes in the list, or pixels as other numbers, stop by themselves. */
export function checkImages(images: readonly RgbImage[]): void {
  checkList("images", images);
  for (const image of images) {
    if (/^Uint8(Clamped)?Array$/.test(kindOf(image?.data))) continue;
    throw new ClipCapError("bad-input", "an image is { width, height, data } with RGB bytes in a Uint8Array");
  }
}

/** The name of a typed array's class, in whatever window or context it was made. */
function kindOf(data: ArrayBufferView | undefined): string {
  return String((data as Uint8Array | undefined)?.[Symbol.toStringTag]);
}

/** What `embed` gave. Numbers of another width or type would leave the embedding of an earlier call in its place. */
export function checkEmbeddings(embeddings: readonly Float32Array[], width: number): void {
  checkList("embeddings", embeddings);
  for (const vector of embeddings) {
    if (kindOf(vector) === "Float32Array" && vector.length === width && vector.every(Number.isFinite)) continue;
    throw new ClipCapError(
      "bad-input",
      `an embedding of this model's CLIP is a Float32Array of ${width} finite values`,
    );
  }
}
