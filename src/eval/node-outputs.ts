import { join } from "node:path";
import type { CaptionedImage } from "../data/captions/dataset.js";
import { cocoResults } from "../metrics/captions.js";
import { writeAtomically } from "../weights/node-source.js";
import type { Seen } from "./report/gallery.js";
import { evalPage } from "./report/node-page.js";
import { type EvalResult, resultJson } from "./result.js";

/** Names of COCO's photos, of which its tools know the number alone. */
const COCO_NAME = /^(?:COCO_[a-z]+20\d\d_)?(\d{12})(?:\.jpg)?$/;

/** The images as COCO's tools name them: by number, where an id is that of a photo and no other image has its number. */
export function cocoNames(ids: readonly string[]): ReadonlyMap<string, string> {
  const numbers = ids.map(cocoNumber);
  const counts = new Map<string, number>();
  for (const number of numbers) counts.set(number, (counts.get(number) ?? 0) + 1);
  return new Map(ids.map((id, i) => [id, counts.get(numbers[i]!) === 1 ? numbers[i]! : id]));
}

function cocoNumber(id: string): string {
  const number = COCO_NAME.exec(id)?.[1];
  return number === undefined ? id : String(Number(number));
}

/**
 * Writes scores.json, report.html, and for tools that measure METEOR and SPICE the captions (results.json) and references
 * (references.json) in COCO's formats.
 */
export async function writeOutputs(
  folder: string,
  result: EvalResult,
  images: readonly CaptionedImage[],
  attention: Seen["attention"],
): Promise<void> {
  const names = cocoNames([...result.set.ids, ...result.leftOut]);
  const captions = new Map(result.set.ids.map((id, i) => [names.get(id)!, result.systems[0]!.captions[i]!]));
  const files = {
    "results.json": cocoResults(captions),
    "references.json": cocoReferences(result.set, names),
    "scores.json": `${JSON.stringify(resultJson(result), null, 1)}\n`,
    "report.html": await evalPage(result, images, attention),
  };
  for (const [name, text] of Object.entries(files)) {
    await writeAtomically(join(folder, name), (sink) => sink.write(Buffer.from(text)));
  }
}

function cocoReferences({ ids, references }: EvalResult["set"], names: ReadonlyMap<string, string>): string {
  const number = (id: string) => {
    const name = names.get(id)!;
    return /^(0|[1-9]\d{0,14})$/.test(name) ? Number(name) : name;
  };
  let next = 0;
  const annotations = ids.flatMap((id, i) =>
    references[i]!.map((caption) => ({ id: next++, image_id: number(id), caption })),
  );
  const images = ids.map((id) => ({ id: number(id), file_name: id }));
  return `${JSON.stringify({ info: {}, licenses: [], type: "captions", images, annotations })}\n`;
}
