/** Files of captions, as text: references and candidates by image, and the results format of COCO. */
import { ClipCapError } from "../runtime/errors.js";
import type { CaptionItem } from "./item.js";

/**
 * Characters of one caption. ROUGE-L takes a second or so for two of this length, the square of it for longer ones; the
 * longest of COCO has 250.
 */
export const MAX_CAPTION_LENGTH = 100_000;

type Row = Readonly<Record<string, unknown>>;

/** Ends messages about a whole file. */
const FORMATS = "--help of clipcap metrics shows the formats";

/** Where a row is, for messages: "refs.json, annotation 12". */
type Place = () => string;

/**
 * Reference captions by image. Known are COCO's captions (`annotations` with `image_id` and
 * `caption`), JSON lines or an array of objects with `id`, `image_id` or `file` and `caption` or `captions`, and one object
 * `{"id": ["…", …]}`. Rows of one image add up; of equal keys of one JSON object the last holds, as everywhere. Ids are
 * compared as text: 42 is "42".
 * @throws ClipCapError `bad-input` naming `file` and the place.
 */
export function parseReferences(file: string, text: string): Map<string, string[]> {
  const references = new Map<string, string[]>();
  for (const [id, captions] of entries(file, text)) {
    const own = references.get(id) ?? [];
    for (const caption of captions) own.push(caption);
    references.set(id, own);
  }
  return references;
}

/**
 * One caption by image: COCO's results `[{"image_id", "caption"}]`, one object `{"id": "…"}`, or JSON lines such as
 * `clipcap caption --json` writes. An empty caption counts as one. Of equal keys of one JSON object the last holds, as
 * everywhere; two rows of one image are an error, since scores are defined for one caption. Sorted by id as text: JSON moves
 * keys that are whole numbers, and the draws of an interval take images by their order.
 * @throws ClipCapError `bad-input` naming `file` and the place.
 */
export function parseCandidates(file: string, text: string): Map<string, string> {
  const candidates = new Map<string, string>();
  for (const [id, captions, place] of entries(file, text)) {
    if (candidates.has(id))
      throw bad(place(), `image ${show(id)} has a caption already; keep one caption for each image`);
    if (captions.length !== 1) throw bad(place(), `image ${show(id)} has ${captions.length} captions; keep one`);
    candidates.set(id, captions[0]!);
  }
  if (candidates.size === 0) throw bad(file, "there are no captions in it; give at least one");
  return sortedById(candidates);
}

/**
 * The captions with the ids of `known` images, sorted again: `clipcap caption` names images by their paths, so
 * "photos/x.jpg" is taken for "x.jpg" where only the latter is known and no other caption is of an x.jpg.
 */
export function matchIds<T>(captions: ReadonlyMap<string, T>, known: Pick<Set<string>, "has">): Map<string, T> {
  const baseName = (id: string) => id.slice(id.lastIndexOf("/") + 1);
  const counts = new Map<string, number>();
  for (const name of Array.from(captions.keys(), baseName)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const idOf = (id: string) => {
    const name = baseName(id);
    return !known.has(id) && known.has(name) && counts.get(name) === 1 ? name : id;
  };
  return sortedById(Array.from(captions, ([id, caption]) => [idOf(id), caption]));
}

function sortedById<T>(captions: Iterable<[string, T]>): Map<string, T> {
  return new Map([...captions].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * What is scored: the images of the candidates, in their order. References of other images are not used.
 * @param names of the two files, for messages
 * @throws ClipCapError `bad-input` naming an image that has no references.
 */
export function pairCaptions(
  references: ReadonlyMap<string, readonly string[]>,
  candidates: ReadonlyMap<string, string>,
  names: { readonly references: string; readonly candidates: string },
): CaptionItem[] {
  const bare = [...candidates.keys()].filter((id) => !references.get(id)?.length);
  if (bare.length > 0) {
    const others = bare.length > 1 ? ` and ${bare.length - 1} more` : "";
    const known = [...references].find(([, captions]) => captions.length > 0);
    const [example, step] = known
      ? [`its ids are such as ${show(known[0])}`, "give references of all images, by the same ids"]
      : ["it has none at all", "give references"];
    const what = `there are no references for image ${show(bare[0]!)} of ${names.candidates}${others}`;
    throw bad(names.references, `${what} (${example}); ${step}`);
  }
  return [...candidates].map(([id, candidate]) => ({ candidate, references: references.get(id)! }));
}

/**
 * The file that COCO's server and the official evaluation read: `[{"image_id", "caption"}, …]`, one result a line. Ids that
 * are whole numbers are written as numbers, as those tools ask.
 */
export function cocoResults(candidates: ReadonlyMap<string, string>): string {
  const rows = Array.from(candidates, ([id, caption]) => {
    const image_id = /^(0|[1-9]\d{0,14})$/.test(id) ? Number(id) : id;
    return JSON.stringify({ image_id, caption });
  });
  return `[\n${rows.join(",\n")}\n]\n`;
}

/** Every image's id and captions, whatever the format; an image may come more than once. */
function* entries(file: string, text: string): Generator<[id: string, captions: readonly string[], place: Place]> {
  const value = parse(file, text);
  if (Array.isArray(value)) {
    for (const [i, row] of value.entries()) yield rowEntry(row, () => `${file}, entry ${i + 1}`);
  } else if (!isRow(value)) {
    throw bad(file, `it holds ${show(value)} instead of captions; ${FORMATS}`);
  } else if (Array.isArray(value.annotations)) {
    for (const [i, row] of value.annotations.entries()) yield rowEntry(row, () => `${file}, annotation ${i + 1}`);
  } else if (idOf(value) !== undefined && ("caption" in value || "captions" in value)) {
    yield rowEntry(value, () => file); // JSON lines, of one line
  } else {
    for (const [id, captions] of Object.entries(value)) {
      const place = () => `${file}, image ${show(id)}`;
      yield [id, checkedCaptions(captions, place), place];
    }
  }
}

/** One JSON value, or an array of the values of JSON lines. */
function parse(file: string, raw: string): unknown {
  const text = raw.replace(/^\uFEFF/, "");
  try {
    return JSON.parse(text);
  } catch (cause) {
    const lines = text.split("\n");
    const first = lines.find((line) => line.trim() !== "") ?? "";
    if (first === "") throw bad(file, `it is empty; give a file of captions, ${FORMATS}`);
    if (!isJson(first)) throw notJson(file, cause);
    return lines.flatMap((line, i) => (line.trim() === "" ? [] : [parseLine(`${file}, line ${i + 1}`, line)]));
  }
}

function isJson(text: string): boolean {
  try {
    return isRow(JSON.parse(text));
  } catch {
    return false;
  }
}

function parseLine(place: string, line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw notJson(place, cause);
  }
}

/** The parser quotes the file, which may hold anything: one line of visible ASCII is kept. */
function notJson(place: string, cause: unknown): ClipCapError {
  const reason = (cause as Error).message.replace(/[^ -~]+/g, " ");
  return bad(place, `it is not valid JSON (${reason}); write the file again, ${FORMATS}`);
}

function rowEntry(row: unknown, place: Place): [string, readonly string[], Place] {
  const id = isRow(row) ? idOf(row) : undefined;
  if (!isRow(row) || id === undefined) {
    const found = isRow(row) ? "an object without an id" : show(row);
    throw bad(place(), `expected {"image_id": …, "caption": "…"}, not ${found}; ${FORMATS}`);
  }
  return [id, checkedCaptions(row.captions ?? row.caption, place), place];
}

function idOf(row: Row): string | undefined {
  const id = row.image_id ?? row.id ?? row.file;
  return typeof id === "string" || typeof id === "number" ? String(id) : undefined;
}

function checkedCaptions(value: unknown, place: Place): readonly string[] {
  const captions: readonly unknown[] = Array.isArray(value) ? value : [value];
  for (const caption of captions) {
    if (typeof caption !== "string") throw bad(place(), `a caption must be a text, not ${show(caption)}; ${FORMATS}`);
    if (caption.length > MAX_CAPTION_LENGTH) {
      throw bad(
        place(),
        `a caption has ${caption.length} characters, more than the limit of ${MAX_CAPTION_LENGTH}; shorten it`,
      );
    }
  }
  return captions as readonly string[];
}

function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * A value in a message, cut short, its control characters escaped; of lists and objects, which may be nested without end, the
 * kind: files are hostile.
 */
export function show(value: unknown): string {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function bad(place: string, what: string): ClipCapError {
  return new ClipCapError("bad-input", `${place}: ${what}`);
}
