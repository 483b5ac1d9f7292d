import { createHash } from "node:crypto";
import type { ModelFolder } from "./folder.js";
import { COMPANIONS, readManifest, WEIGHT_FILES } from "./model-files.js";

/** What of a Hugging Face folder has a part in results. */
const PART_FILES = [...COMPANIONS, ...WEIGHT_FILES];
/** Read at once. */
const PIECE_BYTES = 16 * 2 ** 20;

/** SHA-256 over all files that a model folder is read from: equal for equal models, wherever they lie. Closes the folder. */
export async function modelDigest(folder: ModelFolder): Promise<string> {
  const { clip, gpt2 } = await readManifest(folder);
  return digest(folder, ["clipcap.json", "mapper.safetensors", ...partFiles(clip), ...partFiles(gpt2)]);
}

/** The same over CLIP alone: what embeddings go by. Closes the folder. */
export async function clipDigest(folder: ModelFolder): Promise<string> {
  return digest(folder, partFiles((await readManifest(folder)).clip));
}

/** The files that `clipDigest` reads, relative to the folder. */
export async function clipFiles(folder: ModelFolder): Promise<string[]> {
  const files = partFiles((await readManifest(folder)).clip);
  const there = await Promise.all(files.map((file) => folder.has(file)));
  return files.filter((_, i) => there[i]);
}

function partFiles(part: string): string[] {
  return PART_FILES.map((file) => (part === "." ? file : `${part}/${file}`));
}

async function digest(folder: ModelFolder, files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of new Set(files)) {
    if (!(await folder.has(file))) continue;
    const source = await folder.open(file);
    hash.update(`${file} ${source.size}\n`);
    for (let at = 0; at < source.size; at += PIECE_BYTES) {
      hash.update(await source.read(at, Math.min(PIECE_BYTES, source.size - at)));
    }
  }
  await folder.close();
  return hash.digest("hex");
}
