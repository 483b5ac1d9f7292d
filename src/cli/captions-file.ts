import { readFile, stat } from "node:fs/promises";
import { ClipCapError } from "../runtime/errors.js";
import { fileError } from "../weights/node-source.js";

/** A file is held as one text of JavaScript; all captions of COCO are 85 MB. */
export const MAX_CAPTIONS_BYTES = 256e6;

/** The text of a file of captions. @throws ClipCapError `not-found`, `io`, `bad-input` where it is too large */
export async function readCaptionsFile(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_CAPTIONS_BYTES) {
      const mb = Math.ceil(size / 1e6);
      throw new ClipCapError(
        "bad-input",
        `${path} has ${mb} MB; ${MAX_CAPTIONS_BYTES / 1e6} are the limit, keep captions only`,
      );
    }
    return await readFile(path, "utf8");
  } catch (cause) {
    throw fileError(path, cause);
  }
}
