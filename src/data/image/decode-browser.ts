import { ClipCapError } from "../../runtime/errors.js";
import { MAX_PIXELS, type RgbImage, rgbFromChannels } from "./rgb.js";

export interface DecodeOptions {
  /** Ignore the EXIF orientation, as Pillow does; default false. */
  readonly rawOrientation?: boolean;
  /** Default MAX_PIXELS (178,956,970). */
  readonly maxPixels?: number;
}

/**
 * Decodes a file with the browser's own decoder, never scaling it: the resampling must be ours to equal Pillow's.
 * Colour profiles are not applied. Differences from Node: JPEG bytes depend on the browser's decoder, and a canvas
 * stores premultiplied colour, so what lies under full transparency becomes black.
 * @throws ClipCapError `bad-image`
 */
export async function decodeImage(blob: Blob, options: DecodeOptions = {}): Promise<RgbImage> {
  const name = blob instanceof File ? blob.name : "the image";
  if (blob.size === 0)
    throw new ClipCapError("bad-image", `${name} is empty; give a JPEG, PNG, WebP, GIF or AVIF file.`);
  const bitmap = await openBitmap(blob, name, options.rawOrientation ?? false);
  try {
    return readBitmap(bitmap, name, options.maxPixels ?? MAX_PIXELS);
  } finally {
    bitmap.close();
  }
}

async function openBitmap(blob: Blob, name: string, rawOrientation: boolean): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(blob, {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
      imageOrientation: rawOrientation ? ("none" as ImageOrientation) : "from-image",
    });
  } catch (cause) {
    const what = `${name} cannot be decoded by this browser; give an undamaged JPEG, PNG, WebP, GIF or AVIF file.`;
    throw new ClipCapError("bad-image", what, { cause });
  }
}

function readBitmap(bitmap: ImageBitmap, name: string, maxPixels: number): RgbImage {
  const { width, height } = bitmap;
  if (width * height > maxPixels) {
    const size = `${width}x${height} = ${width * height} pixels`;
    throw new ClipCapError(
      "bad-image",
      `${name} has ${size}, more than the limit of ${maxPixels}; scale it down first.`,
    );
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (context === null) {
    throw new ClipCapError(
      "out-of-memory",
      `this browser cannot make a ${width}x${height} canvas; use a smaller image.`,
    );
  }
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  return { width, height, data: rgbFromChannels(rgba, width * height, 4) };
}
