import type { RgbImage } from "../image/rgb.js";
import type { ProblemLog, Where } from "./problems.js";

/**
 * - jsonl: lines {"file", "captions": ["…"], "split"?}
 * - coco: captions_*.json of COCO; coco-list: [{image_id, id, caption}], what the original trains on
 * - karpathy: dataset_coco.json, dataset_flickr8k.json, dataset_flickr30k.json
 * - token: lines `name#0<tab>caption`; csv: a table whose header names an image and a caption
 * - sidecar: a folder of images with .txt files; webdataset: .tar shards
 * - original: train_data.pkl, the embeddings and captions that the original's parse_coco.py writes
 */
export const FORMATS = [
  "jsonl",
  "coco",
  "coco-list",
  "karpathy",
  "token",
  "csv",
  "sidecar",
  "webdataset",
  "original",
] as const;
export type DatasetFormat = (typeof FORMATS)[number];

export type Split = "train" | "dev" | "test";

/** A picture that can be read when its turn comes. */
export interface Picture {
  /** @throws ClipCapError `bad-image`, `not-found`, `io` */
  readonly decode: () => Promise<RgbImage>;
  /**
   * Changes when the picture may have changed (size and time of its file); what caches go by.
   * @throws ClipCapError `not-found`, `io`
   */
  readonly stamp: () => Promise<string>;
}

/** A picture with its captions. */
export interface CaptionedImage extends Picture {
  /** Unique in the data set and stable: the name as the data says it, without folders where its format has none. */
  readonly id: string;
  /** Normalised; at least one, unless images without are asked for (`captionless`). */
  readonly captions: readonly string[];
  /** Undefined where the data does not say; `splitByImage` decides then. */
  readonly split: Split | undefined;
  /** Neighbours of one group are hard to tell apart: training shows them in the same batch, where it must. */
  readonly group?: number;
  /** The row that names it first, for messages. */
  readonly row?: { readonly file: string; readonly where: Where };
  /** Its file is not there, which is among the problems; only where `keepMissing` asks for such images. */
  readonly missing?: true;
}

export interface CaptionDataset {
  /** What messages call it: the path it was opened by. */
  readonly name: string;
  /** Of FORMATS. */
  readonly format: string;
  /** In the order of the data; at least one. */
  readonly images: readonly CaptionedImage[];
  /** CLIP's embeddings of the images by id, where the data brings them; its pictures may be absent then. */
  readonly embeddings?: { readonly width: number; readonly vectors: ReadonlyMap<string, Float32Array> };
  readonly problems: ProblemLog;
}

export interface SplitOptions {
  /** Share of the images without a split that becomes "dev", from 0 to below 1. */
  readonly fraction: number;
  readonly seed: number;
}

/**
 * The images by split. The data's own split wins; an image without one goes to "dev" or "train" by a hash of its id and
 * the seed, so neither the order of the data nor further images move it. Of two or more such images at least one goes to
 * each side, unless the fraction is 0.
 */
export function splitByImage<T extends Pick<CaptionedImage, "id" | "split">>(
  images: readonly T[],
  { fraction, seed }: SplitOptions,
): Readonly<Record<Split, readonly T[]>> {
  const limit = fraction * 2 ** 32;
  const free = images.filter(({ split }) => split === undefined).map(({ id }) => ({ id, hash: idHash(id, seed) }));
  free.sort((a, b) => a.hash - b.hash || (a.id < b.id ? -1 : 1));
  const below = free.filter(({ hash }) => hash < limit).length;
  const share = fraction > 0 && free.length > 1 ? Math.min(Math.max(below, 1), free.length - 1) : 0;
  const dev = new Set(free.slice(0, share).map(({ id }) => id));
  const parts: Record<Split, T[]> = { train: [], dev: [], test: [] };
  for (const image of images) parts[image.split ?? (dev.has(image.id) ? "dev" : "train")].push(image);
  return parts;
}

/** FNV-1a of the text, then the finaliser of MurmurHash3, which spreads short texts over all 32 bits. */
function idHash(id: string, seed: number): number {
  let h = (0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1)) >>> 0;
  for (let i = 0; i < id.length; i++) h = Math.imul(h ^ id.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
