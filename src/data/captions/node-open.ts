import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ClipCapError } from "../../runtime/errors.js";
import { fileError, openFile as openSource } from "../../weights/node-source.js";
import { imageFiles } from "../files.js";
import type { DecodeOptions } from "../image/decode-node.js";
import { type DocumentFormat, documentFormat, readDocument } from "./coco.js";
import type { CaptionDataset, DatasetFormat } from "./dataset.js";
import { readJsonLines } from "./json-lines.js";
import { splitLines, type TextLine } from "./lines.js";
import { findShards, type LineFormat, readJson, tellFormat, unknownFormat } from "./node-format.js";
import { fileStamp, folderPictures } from "./node-pictures.js";
import { readPieces, readSidecars } from "./node-sidecar.js";
import { WebDataset } from "./node-webdataset.js";
import { ProblemLog } from "./problems.js";
import { type CaptionRow, type CollectOptions, collectImages, type FindPicture } from "./rows.js";
import { readTable, readTokens } from "./tables.js";
import { readTrainingPickle } from "./training-pickle.js";

export interface OpenDatasetOptions extends DecodeOptions, CollectOptions {
  /** Folder of the images. Default: the folder "images" or "Images" beside the data, else the folder of the data. */
  readonly images?: string | undefined;
  /** Default: found from the content. */
  readonly format?: DatasetFormat | undefined;
}

/**
 * Opens a data set of images with captions. Which images exist is checked here, by one listing per folder; the pictures
 * are read when they are decoded.
 * @param path a file or folder of FORMATS, a folder with captions.jsonl, or a pattern for shards
 * @throws ClipCapError `not-found`, `io`, `bad-input` (nothing usable in it; says why)
 */
export async function openDataset(path: string, options: OpenDatasetOptions = {}): Promise<CaptionDataset> {
  const { format } = options;
  const listed = join(path, "captions.jsonl");
  const isListed = await exists(listed);
  const shards = format === "webdataset" || (format === undefined && !isListed) ? await findShards(path) : [];
  if (shards.length > 0) return openShards(path, shards, options);
  if (format === "webdataset") throw new ClipCapError("bad-input", `${path} holds no .tar shards; check the path.`);
  if (format === "sidecar" || (!isListed && (await isFolder(path)))) return openSidecars(path, options);
  return openFile(path, isListed ? listed : path, options);
}

async function openShards(name: string, shards: readonly string[], options: OpenDatasetOptions) {
  if (options.format === undefined) await checkUnmixed(name, new Set(shards));
  const problems = new ProblemLog(name);
  const data = new WebDataset(shards, options);
  return collect(name, "webdataset", data.rows(problems), problems, data.find, options);
}

/** Images beside shards would be left out without a word, captions and all. */
async function checkUnmixed(name: string, shards: ReadonlySet<string>): Promise<void> {
  const { files } = await imageFiles([name]);
  const image = files.find((file) => !shards.has(file));
  if (image === undefined) return;
  const mixed = `${name} holds shards and images such as ${image}`;
  throw new ClipCapError("bad-input", `${mixed}; state the format, webdataset or sidecar.`);
}

async function openSidecars(folder: string, options: OpenDatasetOptions) {
  checkFormat(folder, "sidecar", options);
  const problems = new ProblemLog(folder);
  const rows = readSidecars(folder, problems);
  return collect(folder, "sidecar", rows, problems, await folderPictures(folder, options), options);
}

async function openFile(name: string, file: string, options: OpenDatasetOptions): Promise<CaptionDataset> {
  const told = options.format ?? (await tellFormat(file));
  if (told === "original") return openTrainingPickle(file, options);
  const find = await folderPictures(options.images ?? (await imagesBeside(file)), options);
  const problems = new ProblemLog(file);
  if (told === "jsonl" || told === "token" || told === "csv") {
    const rows = LINE_READERS[told](splitLines(readPieces(file), problems), problems);
    return collect(name, told, rows, problems, find, options);
  }
  const document = await readJson(file);
  const format = documentFormat(document);
  if (format === undefined) throw unknownFormat(file);
  checkFormat(file, format, options);
  return collect(name, format, readDocument(format, document, problems), problems, find, options);
}

/** A view of 2^31 bytes is what one read gives; COCO's embeddings take 600 MB as f16. */
const MAX_PICKLE_BYTES = 2 ** 31 - 1;

async function openTrainingPickle(file: string, options: OpenDatasetOptions): Promise<CaptionDataset> {
  const problems = new ProblemLog(file);
  const bytes = await readWhole(file, MAX_PICKLE_BYTES);
  const { width, rows, vectors } = readTrainingPickle(file, bytes, problems);
  const find = options.images === undefined ? withoutPicture(file) : await folderPictures(options.images, options);
  return { ...(await collect(file, "original", rows, problems, find, options)), embeddings: { width, vectors } };
}

/** Stands for images that are there as embeddings only. */
function withoutPicture(file: string): FindPicture {
  const decode = async () => {
    throw new ClipCapError("not-found", `${file} holds embeddings and no pictures; give the folder of the images.`);
  };
  return async () => ({ decode, stamp: () => fileStamp(file) });
}

async function readWhole(file: string, limit: number): Promise<Uint8Array> {
  const source = await openSource(file);
  try {
    if (source.size <= limit) return await source.read(0, source.size);
    throw new ClipCapError("bad-input", `${file} has ${source.size} bytes, more than the limit of ${limit}; split it.`);
  } finally {
    await source.close();
  }
}

async function collect(
  name: string,
  format: DatasetFormat,
  rows: AsyncIterable<CaptionRow> | Iterable<CaptionRow>,
  problems: ProblemLog,
  find: FindPicture,
  options: OpenDatasetOptions,
): Promise<CaptionDataset> {
  return { name, format, images: await collectImages(rows, problems, find, options), problems };
}

type LineReader = (lines: AsyncIterable<TextLine>, problems: ProblemLog) => AsyncIterable<CaptionRow>;

const LINE_READERS: Readonly<Record<LineFormat, LineReader>> = {
  jsonl: readJsonLines,
  token: readTokens,
  csv: readTable,
};

function checkFormat(file: string, found: DatasetFormat | DocumentFormat, { format }: OpenDatasetOptions): void {
  if (format === undefined || format === found) return;
  throw new ClipCapError("bad-input", `${file} has the format ${found}, not ${format}.`);
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

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
