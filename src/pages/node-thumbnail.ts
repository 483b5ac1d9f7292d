import { loadSharp } from "../data/image/decode-node.js";
import type { RgbImage } from "../data/image/rgb.js";

/** Of JPEG: photos of 256 pixels take 5 to 12 KB. */
const QUALITY = 60;

/**
 * A small copy of a picture as a data URI, at most `edge` pixels wide and high.
 * @throws ClipCapError `missing-package` without sharp
 */
export async function thumbnail({ width, height, data }: RgbImage, edge: number): Promise<string> {
  const sharp = await loadSharp();
  const jpeg = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize(edge, edge, { fit: "inside", withoutEnlargement: true })
    .jpeg({ quality: QUALITY })
    .toBuffer();
  return `data:image/jpeg;base64,${jpeg.toString("base64")}`;
}

/**
 * The same as a PNG of at most 256 colours: photos of 128 pixels take some 10 KB.
 * @throws ClipCapError `missing-package` without sharp
 */
export async function thumbnailPng({ width, height, data }: RgbImage, edge: number): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(data, { raw: { width, height, channels: 3 } })
    .resize(edge, edge, { fit: "inside", withoutEnlargement: true })
    .png({ palette: true })
    .toBuffer();
}

/**
 * A picture as it is, as a data URI without loss.
 * @throws ClipCapError `missing-package` without sharp
 */
export async function exactPicture({ width, height, data }: RgbImage): Promise<string> {
  const sharp = await loadSharp();
  const png = await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  return `data:image/png;base64,${png.toString("base64")}`;
}
