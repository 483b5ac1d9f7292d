import { shown } from "../../runtime/errors.js";
import type { Split } from "./dataset.js";
import type { TextLine } from "./lines.js";
import type { ProblemLog } from "./problems.js";
import type { CaptionRow } from "./rows.js";

/** Names that data sets give their splits. */
const SPLITS: Readonly<Record<string, Split>> = {
  train: "train",
  restval: "train", // Karpathy's: images of COCO's val2014 that he trains on
  dev: "dev",
  val: "dev",
  validation: "dev",
  test: "test",
};

/** A split by the name that the data gives it; undefined where it gives none. Anything else is a problem. */
export function readSplit(name: unknown): Split | undefined | { readonly fault: string } {
  if (name === undefined || name === null || name === "") return undefined;
  const split = typeof name === "string" && Object.hasOwn(SPLITS, name) ? SPLITS[name] : undefined;
  return split ?? { fault: `"split" must be one of ${Object.keys(SPLITS).join(", ")}, not ${shown(name)}` };
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");

/** JSON lines {"file", "captions"?: ["…"], "split"?: "train" | "dev" | "test"}; empty lines are passed over. */
export async function* readJsonLines(lines: AsyncIterable<TextLine>, problems: ProblemLog): AsyncGenerator<CaptionRow> {
  for await (const { line, text } of lines) {
    if (text.trim() === "") continue;
    const row = readRow(text);
    if ("fault" in row) problems.add("row", line, row.fault);
    else yield { ...row, where: line };
  }
}

function readRow(text: string): Omit<CaptionRow, "where"> | { readonly fault: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { fault: `${shown(text)} is not JSON` };
  }
  const { file, captions = [], split: name } = (value ?? {}) as Record<string, unknown>;
  if (typeof file !== "string") return { fault: `"file" must be the name of an image, not ${shown(file)}` };
  if (!isTexts(captions)) return { fault: `"captions" must be a list of texts, not ${shown(captions)}` };
  const split = readSplit(name);
  if (typeof split === "object") return split;
  return { id: file, places: [file], captions, split };
}
