import { ClipCapError, shown } from "../../runtime/errors.js";
import type { CaptionedImage, Picture, Split } from "./dataset.js";
import { type NormaliseOptions, normaliseCaption } from "./normalise.js";
import { type ProblemKind, type ProblemLog, problemSummary, type Where } from "./problems.js";

/** What readers make of one row, entry or sample: some captions of one image. */
export interface CaptionRow {
  /** Name of the image; rows whose names are one path (`plainPath`) belong together, and the first one's is kept. */
  readonly id: string;
  /** Where the image may lie, as paths in the folder of images with "/"; the first that exists is taken. */
  readonly places: readonly string[];
  readonly captions: readonly string[];
  readonly split?: Split | undefined;
  readonly where: Where;
  /** The file of `where`, if the data set has several. */
  readonly file?: string;
}

/** Where images are looked up; undefined where none of the places exists. */
export type FindPicture = (places: readonly string[]) => Promise<Picture | undefined>;

/** GPT-2's 1,024 positions hold some 4,000 characters of English; the longest COCO caption has 250. */
const MAX_CAPTION = 4000;
/** COCO's evaluation server has 40 captions an image. */
const MAX_CAPTIONS = 1000;
/** An image takes some 500 bytes here; the largest public caption sets that fit one disk have three million. */
const MAX_IMAGES = 5_000_000;

interface Gathered {
  /** The first row of the image. */
  readonly row: CaptionRow;
  readonly captions: string[];
  split: Split | undefined;
}

export interface CollectOptions {
  readonly normalise?: NormaliseOptions | undefined;
  /** Images that do not exist are problems all the same, but stay in their places; decoding one fails. Default false. */
  readonly keepMissing?: boolean | undefined;
  /** Images without a caption are no problem and stay. Default false. */
  readonly captionless?: boolean | undefined;
}

/**
 * The images that rows describe, in the order in which they first occur. Captions are normalised; what cannot be used is
 * said in `problems`.
 * @throws ClipCapError `bad-input` where not one image is left.
 */
export async function collectImages(
  rows: AsyncIterable<CaptionRow> | Iterable<CaptionRow>,
  problems: ProblemLog,
  find: FindPicture,
  options: CollectOptions = {},
): Promise<CaptionedImage[]> {
  const { keepMissing = false, captionless = false } = options;
  const gathered = new Map<string, Gathered>();
  for await (const row of rows) gather(gathered, row, problems, options);
  const images: CaptionedImage[] = [];
  for (const { row, captions, split } of gathered.values()) {
    if (captions.length === 0 && !captionless) continue; // said where the captions were left out
    const { id } = row;
    const named = { id, captions, split, row: { file: row.file ?? problems.file, where: row.where } };
    const picture = await find(row.places);
    if (!picture) problems.add("image", row.where, `the image ${shown(id)} does not exist`, row.file);
    if (picture) images.push({ ...named, ...picture });
    else if (keepMissing) images.push({ ...named, ...missingPicture(id) });
  }
  if (images.some(({ missing }) => !missing)) return images;
  const reason = problemSummary(problems) || "it is empty";
  const example = problems.kept[0] ? ` First: ${problems.kept[0].message}` : "";
  const what = captionless ? "image" : "image with a caption";
  throw new ClipCapError("bad-input", `${problems.file} gives no ${what}: ${reason}.${example}`);
}

function missingPicture(id: string): Pick<CaptionedImage, "decode" | "stamp" | "missing"> {
  const fail = async () => {
    throw new ClipCapError("not-found", `the image ${shown(id)} does not exist.`);
  };
  return { decode: fail, stamp: fail, missing: true };
}

function gather(
  images: Map<string, Gathered>,
  row: CaptionRow,
  problems: ProblemLog,
  { normalise = {}, captionless = false }: CollectOptions,
) {
  const { id, places, split } = row;
  const report = (kind: ProblemKind, what: string) => problems.add(kind, row.where, what, row.file);
  const outside = [id, ...places].find((path) => !isInside(path));
  if (outside !== undefined) return report("row", `${shown(outside)} is no path inside the folder of images`);
  const path = plainPath(id);
  let image = images.get(path);
  if (!image) {
    if (images.size === MAX_IMAGES) {
      throw new ClipCapError("bad-input", `${problems.file} has more than ${MAX_IMAGES} images; split it.`);
    }
    images.set(path, (image = { row, captions: [], split }));
  }
  if (split !== undefined && (image.split ??= split) !== split) {
    report("row", `${shown(id)} is in "${image.split}" and in "${split}"; it stays in "${image.split}"`);
  }
  if (row.captions.length === 0 && !captionless) report("caption", `${shown(id)} has no caption`);
  for (const text of row.captions) {
    const caption = usable(text, image, normalise);
    if (typeof caption === "string") image.captions.push(caption);
    else report("caption", caption.fault);
  }
}

function usable(text: string, image: Gathered, normalise: NormaliseOptions): string | { readonly fault: string } {
  if (text.length > MAX_CAPTION) {
    return { fault: `a caption of ${text.length} characters is longer than the limit of ${MAX_CAPTION}` };
  }
  if (text.includes("\ufffd")) return { fault: `the caption ${shown(text)} is not UTF-8; convert the file` };
  if (image.captions.length === MAX_CAPTIONS) return { fault: `the image has more than ${MAX_CAPTIONS} captions` };
  const caption = normaliseCaption(text, normalise);
  return caption.trim() === "" ? { fault: `the caption ${shown(text)} is empty` } : caption;
}

/** Data from elsewhere must not reach files outside the folder of images, on any system. */
function isInside(path: string): boolean {
  return path !== "" && !/^[/\\]|^[A-Za-z]:|\0/.test(path) && !path.split(/[\\/]/).includes("..");
}

/** A path without what does not change where it leads: "a/b" of "./a//b". */
export function plainPath(path: string): string {
  return path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}
