import { shown } from "../../runtime/errors.js";
// Flickr30k and Flickr8k: token files, and the tables that went round later.
import { readSplit } from "./json-lines.js";
import type { TextLine } from "./lines.js";
import type { ProblemLog } from "./problems.js";
import type { CaptionRow } from "./rows.js";

const TOKEN_LINE = /^([^\t]+?)(?:#\d+)?\t(.*)$/;

/** Whether a line is `name.jpg#0<tab>caption`. */
export const isTokenLine = (text: string): boolean => /^[^\t]+#\d+\t/.test(text);

/** Lines `name.jpg#0<tab>caption`; the number may be missing. */
export async function* readTokens(lines: AsyncIterable<TextLine>, problems: ProblemLog): AsyncGenerator<CaptionRow> {
  for await (const { line, text } of lines) {
    if (text.trim() === "") continue;
    const [, id, caption] = TOKEN_LINE.exec(text) ?? [];
    if (id === undefined) problems.add("row", line, `${shown(text)} is not "name#0", a tab and a caption`);
    else yield { id, places: [id], captions: [caption!], where: line };
  }
}

/** What the columns are called in the tables that are about. */
const IMAGE_COLUMNS = ["image", "image_name", "file", "filename", "file_name"];
const CAPTION_COLUMNS = ["caption", "comment", "text"];

interface Table {
  readonly separator: string;
  readonly columns: number;
  readonly image: number;
  readonly caption: number;
  /** -1 where there is none. */
  readonly split: number;
}

/** The columns that the first line of a table names; undefined where it names no image or no caption. */
export function readTableHeader(text: string): Table | undefined {
  for (const separator of [",", "|", "\t", ";"]) {
    const names = (splitFields(text, separator) ?? []).map((name) => name.trim().toLowerCase());
    const image = names.findIndex((name) => IMAGE_COLUMNS.includes(name));
    const caption = names.findIndex((name) => CAPTION_COLUMNS.includes(name));
    if (image >= 0 && caption >= 0) {
      return { separator, columns: names.length, image, caption, split: names.indexOf("split") };
    }
  }
  return undefined;
}

/**
 * A table with a header: `image,caption`, `image_name| comment_number| comment`, further columns and "split" as they come.
 * Fields may be in double quotes, "" inside stands for one; they end with their line.
 */
export async function* readTable(lines: AsyncIterable<TextLine>, problems: ProblemLog): AsyncGenerator<CaptionRow> {
  let table: Table | undefined;
  for await (const { line, text } of lines) {
    if (text.trim() === "") continue;
    if (table) {
      const row = readTableRow(table, text);
      if ("fault" in row) problems.add("row", line, row.fault);
      else yield { ...row, where: line };
      continue;
    }
    table = readTableHeader(text);
    if (table) continue;
    const wanted = `a column ${IMAGE_COLUMNS.join(" or ")} and one ${CAPTION_COLUMNS.join(" or ")}`;
    problems.add("row", line, `the header ${shown(text)} does not name ${wanted}`);
    return;
  }
}

function readTableRow(table: Table, text: string): Omit<CaptionRow, "where"> | { readonly fault: string } {
  const fields = splitFields(text, table.separator);
  if (!fields) return { fault: `${shown(text)} has a quote that is not closed` };
  if (fields.length !== table.columns) {
    const separator = JSON.stringify(table.separator);
    const hint = fields.length > table.columns ? `; quote captions that contain ${separator}` : "";
    return { fault: `${shown(text)} has ${fields.length} fields instead of ${table.columns}${hint}` };
  }
  const split = readSplit(fields[table.split]?.trim());
  if (typeof split === "object") return split;
  const id = fields[table.image]!.trim();
  return { id, places: [id], captions: [fields[table.caption]!], split };
}

/** The fields of a line; undefined where a quote stays open. A quote inside a field is a character like any other. */
function splitFields(text: string, separator: string): string[] | undefined {
  const fields: string[] = [];
  let at = 0;
  do {
    const quote = text[at] === '"' ? readQuoted(text, at) : { value: "", end: at };
    if (!quote) return undefined;
    const end = text.indexOf(separator, quote.end);
    fields.push(quote.value + text.slice(quote.end, end < 0 ? undefined : end));
    at = end + 1;
  } while (at > 0);
  return fields;
}

/** The quoted text that begins at `at`, and where it ends. */
function readQuoted(text: string, at: number): { readonly value: string; readonly end: number } | undefined {
  let value = "";
  for (let from = at + 1; ; ) {
    const end = text.indexOf('"', from);
    if (end < 0) return undefined;
    value += text.slice(from, end);
    if (text[end + 1] !== '"') return { value, end: end + 1 };
    value += '"';
    from = end + 2;
  }
}
