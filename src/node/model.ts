import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ClipCapError } from "../runtime/errors.js";
import type { ModelFolder } from "../weights/folder.js";
import { nodeFolder } from "../weights/node-folder.js";

/** The model that ships with the package. */
export const DEFAULT_MODEL = "flickr8k-small";

/** Folder of the shipped models, beside src and dist. */
const SHIPPED = new URL("../../weights/", import.meta.url);

/**
 * A model folder on this machine: a path, or the name of a shipped model.
 * @throws ClipCapError `not-found`.
 */
export async function modelFolder(pathOrName: string = DEFAULT_MODEL): Promise<ModelFolder> {
  if (existsSync(`${pathOrName}/clipcap.json`)) return nodeFolder(pathOrName);
  if (/^[\w.-]+$/.test(pathOrName)) {
    const shipped = fileURLToPath(new URL(`${pathOrName}/`, SHIPPED));
    if (existsSync(`${shipped}clipcap.json`)) return nodeFolder(shipped);
  }
  throw new ClipCapError(
    "not-found",
    `there is no model ${pathOrName || '""'}: give a folder with a clipcap.json, or a shipped model, ${DEFAULT_MODEL} or scenes; ` +
      "clipcap convert makes such a folder from original checkpoints",
  );
}
