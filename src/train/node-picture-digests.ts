import { createHash } from "node:crypto";
import type { TrainingData } from "./node-data.js";
import { readOr } from "./pictures.js";

/** Pictures that are looked at when a run is resumed: these take half a second, all of COCO's minutes. */
const LOOKED_AT = 64;

/** Names what some pictures of a run show, evenly spread over its data; null of one that cannot be read. */
export type PictureDigests = readonly (string | null)[];

/**
 * SHA-256 of pixels, or of the embedding where the data brings it: names do not say what a picture shows, and the times of
 * files change when data is moved.
 */
export async function pictureDigests({
  train,
  dev,
  embeddings,
}: Pick<TrainingData, "train" | "dev" | "embeddings">): Promise<PictureDigests> {
  const images = [...train, ...dev];
  const count = Math.min(LOOKED_AT, images.length);
  const digests: (string | null)[] = [];
  for (let i = 0; i < count; i++) {
    const image = images[Math.floor((i * images.length) / count)]!;
    const seen = embeddings?.vectors.get(image.id) ?? (await readOr(() => {}, image, image.decode()))?.data;
    digests.push(seen ? createHash("sha256").update(seen).digest("hex") : null);
  }
  return digests;
}

/** How many pictures show something else than before; those that could not be read then or cannot now do not count. */
export function changedPictures(before: PictureDigests, now: PictureDigests): number {
  return before.filter((digest, i) => digest !== null && (now[i] ?? digest) !== digest).length;
}
