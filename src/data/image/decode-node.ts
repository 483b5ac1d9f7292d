import { readFile, stat } from "node:fs/promises";
import type { Metadata, Sharp, SharpOptions } from "sharp";
import { ClipCapError } from "../../runtime/errors.js";
import { MAX_PIXELS, type RgbImage, rgbFromChannels, rgbFromCmyk } from "./rgb.js";

export interface DecodeOptions {
  /** Ignore the EXIF orientation that phones write, as Pillow and the original ClipCap do. Default false. */
  readonly rawOrientation?: boolean;
  /** Refuse larger pictures before decoding them. Default MAX_PIXELS (178,956,970). */
  readonly maxPixels?: number;
}

/** Formats by the name libvips gives them; AVIF is "heif" with AV1 inside (HEVC photos are not readable). */
const FORMATS = new Set(["jpeg", "png", "webp", "gif", "heif", "tiff", "svg"]);
const FORMAT_NAMES = "JPEG, PNG, WebP, GIF, AVIF, TIFF or SVG";

/** Largest file that is read: an uncompressed 8-bit RGB TIFF of MAX_PIXELS is 537 MB. */
export const MAX_FILE_BYTES = 600_000_000;

/** Drawings are programs: a few bytes of nested filters can cost minutes, so SVG is kept to what people draw. */
const MAX_SVG_BYTES = 2 ** 20;
const MAX_SVG_PIXELS = 4096 * 4096;

/**
 * Decodes the first frame of a file, or of its bytes, as 8-bit RGB: grey, palette, 16-bit (value >> 8), CMYK and alpha
 * (dropped, the hidden colour stays; SVG is drawn on white) as Pillow's `convert("RGB")`, embedded colour profiles
 * ignored, EXIF orientation applied.
 * @throws ClipCapError `not-found`, `io`, `bad-image` (which names the file), `missing-package` without sharp
 */
export async function decodeImage(input: string | Uint8Array, options: DecodeOptions = {}): Promise<RgbImage> {
  const name = typeof input === "string" ? input : "the image";
  const bytes = typeof input === "string" ? await readImageFile(input) : input;
  if (bytes.length === 0) throw new ClipCapError("bad-image", `${name} is empty; give an image (${FORMAT_NAMES}).`);
  const sharp = await loadSharp();
  const limit = options.maxPixels ?? MAX_PIXELS;
  // The limit is checked below with a clearer sentence than libvips has. "error" also refuses files that are cut off,
  // but tolerates what Pillow tolerates: damaged entropy codes in a complete JPEG are a warning in both.
  const open: SharpOptions = { failOn: "error", limitInputPixels: false, ignoreIcc: true };
  try {
    const metadata = await sharp(bytes, open).metadata();
    checkMetadata(name, metadata, bytes.length, limit);
    return await pixels(sharp(bytes, { ...open, autoOrient: !options.rawOrientation }), metadata);
  } catch (error) {
    throw error instanceof ClipCapError ? error : decodeError(name, error);
  }
}

async function pixels(image: Sharp, metadata: Metadata): Promise<RgbImage> {
  const cmyk = metadata.space === "cmyk";
  // libvips would convert CMYK with a colour profile; Pillow multiplies (up to 59 of 255 apart on the golden image).
  if (cmyk) image = image.pipelineColourspace("cmyk").toColourspace("cmyk");
  // A drawing has no hidden colour: what is not painted is black with alpha 0, and paper is white.
  if (metadata.format === "svg") image = image.flatten({ background: "white" });
  const { data, info } = await image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const rgb = cmyk ? rgbFromCmyk(data, width * height) : rgbFromChannels(data, width * height, info.channels);
  return { width, height, data: rgb };
}

function checkMetadata(name: string, metadata: Metadata, bytes: number, maxPixels: number): void {
  const { format, width, height } = metadata;
  if (!FORMATS.has(format)) throw unsupported(name, ` (it is ${format})`);
  if (format === "svg" && bytes > MAX_SVG_BYTES) {
    throw new ClipCapError(
      "bad-image",
      `${name} has ${bytes} bytes, the limit for SVG is ${MAX_SVG_BYTES}; save it as PNG.`,
    );
  }
  const limit = format === "svg" ? Math.min(maxPixels, MAX_SVG_PIXELS) : maxPixels;
  if (width * height > limit) {
    const size = `${width}x${height} = ${width * height} pixels`;
    throw new ClipCapError("bad-image", `${name} has ${size}, more than the limit of ${limit}; scale it down first.`);
  }
}

/** The whole file; also keeps SVG from reading neighbouring files, which librsvg allows only for paths. */
async function readImageFile(path: string): Promise<Uint8Array> {
  try {
    const info = await stat(path);
    if (info.isDirectory()) throw new ClipCapError("bad-image", `${path} is a folder; give an image file.`);
    if (!info.isFile()) throw new ClipCapError("bad-image", `${path} is not a regular file; save the image first.`);
    if (info.size > MAX_FILE_BYTES) {
      throw new ClipCapError(
        "bad-image",
        `${path} has ${info.size} bytes, more than the limit of ${MAX_FILE_BYTES}; convert it to JPEG or PNG.`,
      );
    }
    return await readFile(path);
  } catch (error) {
    if (error instanceof ClipCapError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new ClipCapError("not-found", `${path} does not exist; check the path.`, { cause: error });
    }
    throw new ClipCapError("io", `${path} cannot be read (${code}); check its permissions.`, { cause: error });
  }
}

/** Whether one picture is to blame, so that the next may well be readable. */
export function isUnreadable(error: unknown): error is ClipCapError {
  return error instanceof ClipCapError && ["bad-image", "not-found", "io"].includes(error.code);
}

/**
 * An optional dependency: it is native code, and embedders who bring pixels do without it.
 * @throws ClipCapError `missing-package` where it is not installed
 */
export async function loadSharp(): Promise<typeof import("sharp").default> {
  try {
    return (await import("sharp")).default;
  } catch (cause) {
    const message = 'images in Node need the package "sharp"; run: npm install sharp.';
    throw new ClipCapError("missing-package", message, { cause });
  }
}

function unsupported(name: string, what = ""): ClipCapError {
  return new ClipCapError("bad-image", `${name} cannot be read as an image${what}; give an undamaged ${FORMAT_NAMES}.`);
}

function decodeError(name: string, error: unknown): ClipCapError {
  const text = error instanceof Error ? error.message : String(error);
  if (/unsupported image format/i.test(text)) return unsupported(name);
  // libvips adds a stack of lines; the first says what happened.
  const reason =
    text
      .split("\n")[0]!
      .replace(/^Input buffer has corrupt header: ?/, "")
      .trim() || "corrupt header";
  return new ClipCapError("bad-image", `${name} is damaged or cut off (${reason}); replace the file.`, {
    cause: error,
  });
}
