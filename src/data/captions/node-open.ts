import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ClipCapError } from "../../runtime/errors.js";
import { fileError } from "../../weights/node-source.js";
import type { DecodeOptions } from "../image/decode-node.js";
import type { CaptionDataset } from "./dataset.js";
import { readJsonLines } from "./json-lines.js";
import { splitLines } from "./lines.js";
import { folderPictures } from "./node-pictures.js";
import type { NormaliseOptions } from "./normalise.js";
import { ProblemLog } from "./problems.js";
import { collectImages } from "./rows.js";

export interface OpenDatasetOptions extends DecodeOptions {
  /** Folder of the images. Default: the folder "images" or "Images" beside the data, else the folder of the data. */
  readonly images?: string | undefined;
  readonly normalise?: NormaliseOptions;
}

/**
 * Opens a data set of images with captions. Which images exist is checked here, by one listing per folder; the pictures
 * are read when they are decoded.
 * @param path JSON lines {"file", "captions", "split"?}, or a folder with captions.jsonl
 * @throws ClipCapError not-found, io, bad-input (nothing usable in it; says why)
 */
export async function openDataset(path: string, options: OpenDatasetOptions = {}): Promise<CaptionDataset> {
  const file = (await isFolder(path)) ? join(path, "captions.jsonl") : path;
  const { images: folder = await imagesBeside(file), normalise, ...decode } = options;
  const find = await folderPictures(folder, decode);
  const problems = new ProblemLog(file);
  const rows = readJsonLines(splitLines(readPieces(file), problems), problems);
  return { name: path, format: "jsonl", images: await collectImages(rows, problems, find, normalise), problems };
}

async function isFolder(path: string): Promise<boolean> {
  const info = await stat(path).catch((cause) => {
    throw fileError(path, cause);
  });
  return info.isDirectory();
}

async function imagesBeside(file: string): Promise<string> {
  for (const name of ["images", "Images"]) {
    const folder = join(dirname(file), name);
    if ((await stat(folder).catch(() => undefined))?.isDirectory()) return folder;
  }
  return dirname(file);
}

async function* readPieces(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path);
  } catch (cause) {
    throw cause instanceof ClipCapError ? cause : fileError(path, cause);
  }
}
