import { createHash } from "node:crypto";
import type { CaptionDataset, CaptionedImage } from "../data/captions/dataset.js";
import { readSplit } from "../data/captions/json-lines.js";
import { ClipCapError } from "../runtime/errors.js";
import type { Stamped } from "./node-files.js";

/** Every image, whatever its split. */
const ALL = "all";

/**
 * The images of a split ("test", "val", …; "all" for every one), the first `limit` of them.
 * @throws ClipCapError `bad-usage` where the data has no such split; says which it has.
 */
export function testImages(data: CaptionDataset, split: string, limit: number): readonly CaptionedImage[] {
  const wanted = split === ALL ? undefined : readSplit(split);
  if (typeof wanted === "object") throw noSplit(data, split);
  const images = wanted === undefined ? data.images : data.images.filter((image) => image.split === wanted);
  if (images.length === 0) throw noSplit(data, split);
  return images.slice(0, limit);
}

function noSplit({ name, images }: CaptionDataset, split: string): ClipCapError {
  const counts = new Map<string, number>();
  for (const image of images) {
    const own = image.split ?? "none";
    counts.set(own, (counts.get(own) ?? 0) + 1);
  }
  const has = Array.from(counts, ([own, count]) => (own === "none" ? `${count} without one` : `${own} (${count})`));
  return new ClipCapError(
    "bad-usage",
    `${name} has no images of the split "${split}", but ${has.join(", ")}; --split ${ALL} takes every image`,
  );
}

/** The images' ids and stamps, "" for one whose file is not there; it will have another one when it is back. */
export async function stamped(images: readonly CaptionedImage[]): Promise<Stamped[]> {
  return Promise.all(
    images.map(async (image) => {
      const stamp = await image.stamp().catch((error) => {
        if (error instanceof ClipCapError && (error.code === "not-found" || error.code === "io")) return "";
        throw error;
      });
      return { id: image.id, stamp };
    }),
  );
}

/** Names images and references, in their order. Pictures are told by `stamped`, since they may change one by one. */
export function dataDigest(images: readonly CaptionedImage[]): string {
  const hash = createHash("sha256");
  for (const { id, captions } of images) hash.update(`${JSON.stringify([id, captions])}\n`);
  return hash.digest("hex");
}
