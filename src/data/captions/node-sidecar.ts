import { createReadStream } from "node:fs";
import { relative, sep } from "node:path";
import { fileError } from "../../weights/node-source.js";
import { imageFiles } from "../files.js";
import { splitLines } from "./lines.js";
import type { ProblemLog } from "./problems.js";
import type { CaptionRow } from "./rows.js";

/** The images below a folder, sorted by path; the captions of `a.jpg` are the lines of `a.txt` beside it. */
export async function* readSidecars(folder: string, problems: ProblemLog): AsyncGenerator<CaptionRow> {
  const { files, errors } = await imageFiles([folder]);
  for (const error of errors) throw error; // the folder has no images, or cannot be read
  for (const path of files) {
    const id = relative(folder, path).split(sep).join("/");
    const file = path.replace(/\.[^.]*$/, ".txt");
    try {
      for await (const { line, text } of splitLines(readPieces(file), problems)) {
        if (text.trim() !== "") yield { id, places: [id], captions: [text], where: line, file };
      }
    } catch (error) {
      if ((error as { code?: unknown }).code !== "not-found") throw error;
      problems.add("caption", id, "there is no .txt file with captions beside it");
    }
  }
}

/** The bytes of a file in pieces. @throws ClipCapError not-found, io */
export async function* readPieces(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: 2 ** 20 });
  } catch (cause) {
    throw fileError(path, cause);
  }
}
