import { stat } from "node:fs/promises";
import { join } from "node:path";
import { cocoId } from "../eval/node-outputs.js";
import { parseCandidates } from "../metrics/captions.js";
import { modelFolder } from "../node/model.js";
import { ClipCapError } from "../runtime/errors.js";
import { readCaptionsFile } from "./captions-file.js";

/** What captions are compared with: a model that is still to make its own, or captions that are there. */
export type Rival =
  | { readonly type: "model"; readonly name: string }
  | { readonly type: "file"; readonly name: string; readonly captions: ReadonlyMap<string, string> };

/**
 * Finds out what `spec` is: a file of captions, the folder of an evaluation, or else a model (its folder or name).
 * @param ids of the images; each must have a caption, by its id or COCO's number of it
 * @throws ClipCapError `bad-input`, `not-found`, `io`
 */
export async function openRival(spec: string, ids: readonly string[]): Promise<Rival> {
  const results = join(spec, "results.json");
  if (await isFile(results)) return { type: "file", name: spec, captions: await readCaptions(results, ids) };
  if (await isFile(spec)) return { type: "file", name: spec, captions: await readCaptions(spec, ids) };
  await modelFolder(spec).catch(() => {
    const what = "is neither a file of captions, nor the folder of an evaluation, nor a model; check the path";
    throw new ClipCapError("not-found", `${spec} ${what}`);
  });
  return { type: "model", name: spec };
}

async function readCaptions(file: string, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = parseCandidates(file, await readCaptionsFile(file));
  const captions = new Map(ids.map((id) => [id, found.get(id) ?? found.get(cocoId(id))]));
  const bare = ids.filter((id) => captions.get(id) === undefined);
  if (bare.length > 0) {
    const others = bare.length > 1 ? ` and ${bare.length - 1} more` : "";
    const what = `has no caption for image "${bare[0]}"${others}; systems are compared on the same images`;
    throw new ClipCapError("bad-input", `${file} ${what} (its ids are such as "${found.keys().next().value}")`);
  }
  return captions as ReadonlyMap<string, string>;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}
