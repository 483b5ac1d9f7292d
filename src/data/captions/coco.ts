import { shown } from "../../runtime/errors.js";
import { readSplit } from "./json-lines.js";
import type { ProblemLog } from "./problems.js";
import type { CaptionRow } from "./rows.js";

/** JSON documents that are read whole: captions_*.json of COCO, the original's list, and Karpathy's splits. */
export type DocumentFormat = "coco" | "coco-list" | "karpathy";

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Which of the formats a document has, by what it holds; undefined where by none. */
export function documentFormat(document: unknown): DocumentFormat | undefined {
  if (Array.isArray(document)) return "coco-list";
  if (!isFields(document) || !Array.isArray(document.images)) return undefined;
  if (Array.isArray(document.annotations)) return "coco";
  return document.images.some((image) => isFields(image) && "sentences" in image) ? "karpathy" : undefined;
}

/** The rows of a document of the given format (of `documentFormat`). */
export function readDocument(
  format: DocumentFormat,
  document: unknown,
  problems: ProblemLog,
): Generator<CaptionRow, void> {
  const { images, annotations } = document as { readonly images: unknown[]; readonly annotations: unknown[] };
  switch (format) {
    case "coco":
      return readCoco(images, annotations, problems);
    case "coco-list":
      return readCocoList(document as unknown[], problems);
    case "karpathy":
      return readKarpathy(images, problems);
  }
}

/** One entry of a list in a document, with its place for messages. */
interface Entry {
  readonly fields: Fields;
  readonly where: string;
}

function* entries(name: string, list: readonly unknown[], problems: ProblemLog): Generator<Entry> {
  for (const [i, fields] of list.entries()) {
    const where = `${name}[${i}]`;
    if (isFields(fields)) yield { fields, where };
    else problems.add("row", where, `${shown(fields)} is no object`);
  }
}

/** {"images": [{id, file_name}], "annotations": [{image_id, id, caption}]}: captions in the order of their ids. */
function* readCoco(images: unknown[], annotations: unknown[], problems: ProblemLog): Generator<CaptionRow, void> {
  const named = namedImages(images, problems);
  const silent = new Map(named);
  for (const { image_id, caption, where } of inOrder("annotations", annotations, problems)) {
    silent.delete(image_id);
    const image = named.get(image_id);
    if (image) yield { id: image.name, places: placesOf(image.name), captions: [caption], where };
    else problems.add("row", where, `no usable image has the id ${shown(image_id)}`);
  }
  for (const { name, where } of silent.values()) yield { id: name, places: placesOf(name), captions: [], where };
}

interface NamedImage {
  readonly name: string;
  readonly where: string;
}

/** COCO's images by id. An id that two of them have is nobody's: its captions may be of either. */
function namedImages(images: unknown[], problems: ProblemLog): Map<unknown, NamedImage> {
  const named = new Map<unknown, NamedImage>();
  const shared = new Set<unknown>();
  for (const { fields, where } of entries("images", images, problems)) {
    const { id, file_name: name } = fields;
    const other = named.get(id);
    if (typeof name !== "string") problems.add("row", where, `"file_name" must be a text, not ${shown(name)}`);
    else if (typeof id !== "number" && typeof id !== "string") {
      problems.add("row", where, `"id" must be a number or a text, not ${shown(id)}`);
    } else if (!other) named.set(id, { name, where });
    else if (other.name !== name) {
      shared.add(id);
      problems.add("row", where, `${other.where} is another image with its id ${shown(id)}; neither is used`);
    }
  }
  for (const id of shared) named.delete(id);
  return named;
}

/** [{image_id, id, caption}], as the original reads COCO: the file follows from the number, in train2014 or val2014. */
function* readCocoList(list: unknown[], problems: ProblemLog): Generator<CaptionRow, void> {
  for (const { image_id, caption, where } of inOrder("entry ", list, problems)) {
    const image = placesOfNumber(image_id);
    if (image) yield { ...image, captions: [caption], where };
    else problems.add("row", where, `"image_id" must be a whole number, not ${shown(image_id)}`);
  }
}

/** Name and places of the image of 2014 or 2017 that COCO knows by this number; undefined where it is none. */
export function placesOfNumber(id: unknown): Pick<CaptionRow, "id" | "places"> | undefined {
  const number = typeof id === "number" || typeof id === "string" ? `${id}` : "";
  if (!/^\d{1,12}$/.test(number)) return undefined;
  const digits = number.padStart(12, "0");
  const names = ["train2014", "val2014"].map((folder) => `COCO_${folder}_${digits}.jpg`);
  return { id: digits, places: [...names.flatMap(placesOf), `${digits}.jpg`] };
}

interface Annotation {
  readonly image_id: unknown;
  readonly caption: string;
  readonly where: string;
}

/** Entries with a caption, by "id" where all have a number for it: the files of COCO are in no order. */
function inOrder(name: string, list: unknown[], problems: ProblemLog): Annotation[] {
  const found: (Annotation & { readonly id: unknown })[] = [];
  for (const { fields, where } of entries(name, list, problems)) {
    const { image_id, id, caption } = fields;
    if (typeof caption === "string") found.push({ id, image_id, caption, where });
    else problems.add("row", where, `"caption" must be a text, not ${shown(caption)}`);
  }
  if (found.every(({ id }) => typeof id === "number")) found.sort((a, b) => (a.id as number) - (b.id as number));
  return found;
}

/** {"images": [{filename, filepath?, split, sentences: [{raw}]}]}: dataset_coco, dataset_flickr8k, dataset_flickr30k. */
function* readKarpathy(images: unknown[], problems: ProblemLog): Generator<CaptionRow, void> {
  const shared = namesOfSeveralFolders(images);
  for (const { fields, where } of entries("images", images, problems)) {
    const { filename, filepath, sentences, split: name } = fields;
    const split = readSplit(name);
    const captions = Array.isArray(sentences) ? sentences.map((sentence) => isFields(sentence) && sentence.raw) : [];
    if (typeof filename !== "string") {
      problems.add("row", where, `"filename" must be a text, not ${shown(filename)}`);
    } else if (!captions.every((caption) => typeof caption === "string")) {
      problems.add("row", where, '"sentences" has entries other than {"raw": "…"}');
    } else if (typeof split === "object") {
      problems.add("row", where, split.fault);
    } else {
      const path = typeof filepath === "string" ? `${filepath}/${filename}` : filename;
      const [id, places] = shared.has(filename) ? [path, [path]] : [filename, [path, ...placesOf(filename)]];
      yield { id, places, captions, split, where };
    }
  }
}

/** File names that images in different folders have: the path has to tell those apart. */
function namesOfSeveralFolders(images: unknown[]): Set<unknown> {
  const folders = new Map<unknown, unknown>();
  const shared = new Set<unknown>();
  for (const { filename, filepath } of images.filter(isFields)) {
    if (!folders.has(filename)) folders.set(filename, filepath);
    else if (folders.get(filename) !== filepath) shared.add(filename);
  }
  return shared;
}

/** COCO's images of 2014 lie together or in the folder that their names say. */
function placesOf(name: string): readonly string[] {
  const folder = /^COCO_((?:train|val|test)2014)_/.exec(name)?.[1];
  return folder === undefined ? [name] : [name, `${folder}/${name}`];
}
