import type { CaptionedImage } from "../data/captions/dataset.js";
import { thumbnailPng } from "../pages/node-thumbnail.js";
import { writeAtomically } from "../weights/node-source.js";
import type { RunFolder } from "./node-run-folder.js";
import { readOr } from "./pictures.js";

/** Pixels: what the report shows beside captions. */
const EDGE = 128;

/**
 * Writes samples/N.png, small copies of pictures, and returns their paths below the run's folder; undefined where a picture
 * cannot be had, as when the data has embeddings only, or without sharp.
 * @throws ClipCapError `io` when they cannot be written
 */
export async function writeThumbnails(
  run: RunFolder,
  images: readonly CaptionedImage[],
): Promise<(string | undefined)[]> {
  const paths: (string | undefined)[] = [];
  for (const [i, image] of images.entries()) {
    const small = image.decode().then((picture) => thumbnailPng(picture, EDGE));
    const png = await readOr(() => {}, image, small); // the run has said already which pictures cannot be read
    const path = `samples/${i}.png`;
    if (png) await writeAtomically(run.file(path), (sink) => sink.write(png));
    paths.push(png && path);
  }
  return paths;
}
