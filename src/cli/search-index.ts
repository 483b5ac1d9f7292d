import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileStamp } from "../data/captions/node-pictures.js";
import { EmbeddingCache } from "../data/node-embedding-cache.js";
import { modelFolder } from "../node/model.js";
import { subfolder } from "../weights/folder.js";
import { openClip, readManifest } from "../weights/model-files.js";
import { clipDigest, clipFiles } from "../weights/node-digest.js";
import { writeAtomically } from "../weights/node-source.js";
import type { ModelOptions } from "./model.js";

/** CLIP's vectors of questions that were asked before, by their words, and of images, by path. */
export interface SearchIndex {
  readonly words: EmbeddingCache;
  /** Reads the images' vectors: 0.2 s for 100,000. */
  readonly openImages: () => Promise<EmbeddingCache>;
}

interface Identity {
  /** Size and time of the files. */
  readonly stamp: string;
  readonly digest: string;
  /** Of the embeddings. */
  readonly width: number;
}

/** The vectors of the model's CLIP on disk: other weights, or weights kept otherwise, give other vectors. */
export async function openSearchIndex(
  { model, dtype }: Pick<ModelOptions, "model" | "dtype">,
  cache: string | undefined,
): Promise<SearchIndex> {
  const root = cache ?? join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "clipcap-webgpu", "search");
  const { digest, width } = await identify(model, root);
  const clip = { fingerprint: `${digest}-${dtype}`, width };
  const folder = join(root, `${digest.slice(0, 16)}-${dtype}`);
  return {
    words: await EmbeddingCache.open(join(folder, "words"), clip),
    openImages: () => EmbeddingCache.open(folder, clip),
  };
}

/** Which CLIP it is, remembered in `root` while its files stay the same: their SHA-256 takes 1.5 s for ViT-B/32. */
async function identify(model: string, root: string): Promise<Identity> {
  const folder = await modelFolder(model);
  try {
    const files = await clipFiles(folder);
    const stamp = (await Promise.all(files.map((file) => fileStamp(join(folder.name, file))))).join(" ");
    const name = createHash("sha256").update(resolve(folder.name)).digest("hex").slice(0, 16);
    const path = join(root, `clip-${name}.json`);
    const known = await readIdentity(path);
    if (known?.stamp === stamp) return known;
    const digest = await clipDigest(folder);
    const clip = await openClip(subfolder(folder, (await readManifest(folder)).clip));
    const identity = { stamp, digest, width: clip.config.vision.projection };
    await writeAtomically(path, (sink) => sink.write(Buffer.from(`${JSON.stringify(identity)}\n`)));
    return identity;
  } finally {
    await folder.close();
  }
}

/** What is no identity is as good as none: it is found again. */
async function readIdentity(path: string): Promise<Identity | undefined> {
  try {
    const { stamp, digest, width } = JSON.parse(await readFile(path, "utf8"));
    if (/^[0-9a-f]{64}$/.test(digest) && Number.isInteger(width)) return { stamp, digest, width };
  } catch {}
  return undefined;
}
