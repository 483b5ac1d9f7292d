import { stat } from "node:fs/promises";
import { join } from "node:path";
import { cocoNames } from "../eval/node-outputs.js";
import { matchIds, parseCandidates, show } from "../metrics/captions.js";
import { modelFolder } from "../node/model.js";
import { ClipCapError } from "../runtime/errors.js";
import { readCaptionsFile } from "./captions-file.js";

/** What captions are compared with: a model that is still to make its own, or captions that are there. */
export type Rival =
  | { readonly type: "model"; readonly name: string }
  | { readonly type: "file"; readonly name: string; readonly captions: ReadonlyMap<string, string> };

/**
 * Finds out what `spec` is: a file of captions, the folder of an evaluation, or else a model (its folder or name).
 * @param ids of the images; each must have a caption, by its id or COCO's number of it, but for what an evaluation left out
 * @throws ClipCapError `bad-input`, `not-found`, `io`
 */
export async function openRival(spec: string, ids: readonly string[]): Promise<Rival> {
  const results = join(spec, "results.json");
  if (await isFile(results)) {
    const leftOut = await readLeftOut(join(spec, "scores.json"));
    return { type: "file", name: spec, captions: await readCaptions(results, ids, leftOut) };
  }
  if (await isFile(spec)) return { type: "file", name: spec, captions: await readCaptions(spec, ids, new Set()) };
  await modelFolder(spec).catch(() => {
    const what = "is neither a file of captions, nor the folder of an evaluation, nor a model; check the path";
    throw new ClipCapError("not-found", `${spec} ${what}`);
  });
  return { type: "model", name: spec };
}

/** @param leftOut images that may lack a caption */
async function readCaptions(
  file: string,
  ids: readonly string[],
  leftOut: ReadonlySet<string>,
): Promise<ReadonlyMap<string, string>> {
  const found = matchIds(parseCandidates(file, await readCaptionsFile(file)), new Set(ids));
  const names = cocoNames(ids);
  const captions = new Map<string, string>();
  for (const id of ids) {
    const caption = found.get(id) ?? found.get(names.get(id)!);
    if (caption !== undefined) captions.set(id, caption);
  }
  const bare = ids.filter((id) => !captions.has(id) && !leftOut.has(id));
  if (bare.length > 0) {
    const others = bare.length > 1 ? ` and ${bare.length - 1} more` : "";
    const example = show(found.keys().next().value);
    const what = `has no caption for image ${show(bare[0])}${others} (its ids are such as ${example})`;
    throw new ClipCapError("bad-input", `${file} ${what}; give captions of the same images`);
  }
  return captions;
}

/** Images that an evaluation could not read, by its scores.json. */
async function readLeftOut(file: string): Promise<ReadonlySet<string>> {
  if (!(await isFile(file))) return new Set();
  const text = await readCaptionsFile(file);
  try {
    const { left_out: ids } = JSON.parse(text);
    if (Array.isArray(ids)) return new Set(ids);
  } catch {}
  throw new ClipCapError("bad-input", `${file} is damaged; run that evaluation again`);
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}
