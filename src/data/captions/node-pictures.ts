import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { ClipCapError } from "../../runtime/errors.js";
import { fileError } from "../../weights/node-source.js";
import { type DecodeOptions, decodeImage } from "../image/decode-node.js";
import type { Picture } from "./dataset.js";
import type { FindPicture } from "./rows.js";

/**
 * Looks images up below a folder. Each folder is listed once, since asking for each of 120,000 files would be as many
 * round trips to a network's disk.
 * @throws ClipCapError `not-found` when `root` is no folder.
 */
export async function folderPictures(root: string, decode: DecodeOptions): Promise<FindPicture> {
  if (!(await stat(root).catch(() => undefined))?.isDirectory()) {
    throw new ClipCapError("not-found", `${root} is no folder of images; check the path.`);
  }
  const listings = new Map<string, Promise<ReadonlySet<string>>>();
  const list = (folder: string) => {
    const known = listings.get(folder);
    if (known) return known;
    const listing = listFiles(folder);
    listings.set(folder, listing);
    return listing;
  };
  return async (places) => {
    for (const place of places) {
      const path = join(root, place);
      if ((await list(dirname(path))).has(basename(path))) return filePicture(path, decode);
    }
    return undefined;
  };
}

/** Names of what is no folder; a link may lead to a file. */
async function listFiles(folder: string): Promise<ReadonlySet<string>> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return new Set(entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") return new Set();
    throw fileError(folder, cause);
  }
}

function filePicture(path: string, decode: DecodeOptions): Picture {
  return { decode: () => decodeImage(path, decode), stamp: () => fileStamp(path) };
}

/** Size and time of a file. @throws ClipCapError `not-found`, `io` */
export async function fileStamp(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path).catch((cause) => {
    throw fileError(path, cause);
  });
  return `${size}-${mtimeMs}`;
}
