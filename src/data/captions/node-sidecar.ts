import { createReadStream } from "node:fs";
import { relative, sep } from "node:path";
import { fileError } from "../../weights/node-source.js";
import { filesBelow, imageFiles } from "../files.js";
import { splitLines } from "./lines.js";
import type { ProblemLog } from "./problems.js";
import type { CaptionRow } from "./rows.js";

/**
 * The images below a folder, sorted by path; the captions of `a.jpg` are the lines of `a.txt` beside it. A .txt file without
 * an image is a problem, whatever it is (README.txt, say): its captions may have lost their picture.
 */
export async function* readSidecars(folder: string, problems: ProblemLog): AsyncGenerator<CaptionRow> {
  const { files, errors } = await imageFiles([folder]);
  for (const error of errors) throw error; // the folder has no images, or cannot be read
  const nameOf = (path: string) => relative(folder, path).split(sep).join("/");
  const texts = new Set<string>();
  for (const path of files) {
    const id = nameOf(path);
    const file = path.replace(/\.[^.]*$/, ".txt");
    texts.add(file);
    let empty = true;
    try {
      for await (const { line, text } of splitLines(readPieces(file), problems, file)) {
        if (text.trim() === "") continue;
        empty = false;
        yield { id, places: [id], captions: [text], where: line, file };
      }
    } catch (error) {
      if ((error as { code?: unknown }).code !== "not-found") throw error;
    }
    if (empty) yield { id, places: [id], captions: [], where: nameOf(file) };
  }
  for (const path of await filesBelow(folder, "*.txt")) {
    if (!texts.has(path)) problems.add("image", nameOf(path), "there is no image beside it");
  }
}

/** The bytes of a file in pieces. @throws ClipCapError `not-found`, `io` */
export async function* readPieces(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: 2 ** 20 });
  } catch (cause) {
    throw fileError(path, cause);
  }
}
