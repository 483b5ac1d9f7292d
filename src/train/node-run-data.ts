// What a run's folder says about the data: problems.jsonl for people, left-out.json for the run that is taken up again.
import { appendFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Problem } from "../data/captions/problems.js";
import { ClipCapError } from "../runtime/errors.js";
import { fileError, writeAtomically } from "../weights/node-source.js";
import type { TrainingData } from "./node-data.js";
import type { RunFolder } from "./node-run-folder.js";

export const PROBLEMS = "problems.jsonl";
const LEFT_OUT = "left-out.json";

/** Writes both for a run that begins; one with nothing to say is not there. @throws ClipCapError `io` */
export async function noteData(run: RunFolder, { problems: { counts, kept }, leftOut }: TrainingData): Promise<void> {
  const more = Object.values(counts).reduce((n, count) => n + count, -kept.length);
  const lines = [...kept.map(problemLine), ...(more > 0 ? [`${JSON.stringify({ more })}\n`] : [])];
  await writeOrRemove(run.file(PROBLEMS), lines.join(""));
  await writeOrRemove(run.file(LEFT_OUT), leftOut.length > 0 ? `${JSON.stringify(leftOut)}\n` : "");
}

/** Adds what went wrong since. @throws ClipCapError `io` */
export function noteProblem(run: RunFolder, problem: Problem): void {
  const path = run.file(PROBLEMS);
  try {
    appendFileSync(path, problemLine(problem));
  } catch (cause) {
    throw fileError(path, cause);
  }
}

/** Ids of the pictures that the run in a folder began without. @throws ClipCapError `bad-input`, `io` */
export async function readLeftOut(out: string): Promise<ReadonlySet<string>> {
  const path = join(out, LEFT_OUT);
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return "[]";
    throw fileError(path, cause);
  });
  const ids = parsed(text);
  if (Array.isArray(ids) && ids.every((id) => typeof id === "string")) return new Set(ids);
  throw new ClipCapError("bad-input", `${path} is no list of pictures any more; start a new run`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function problemLine({ message: _, ...problem }: Problem): string {
  return `${JSON.stringify(problem)}\n`;
}

async function writeOrRemove(path: string, text: string): Promise<void> {
  if (text === "") await rm(path, { force: true });
  else await writeAtomically(path, (sink) => sink.write(new TextEncoder().encode(text)));
}
