import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdir, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import { type ModelFolder, missing } from "./folder.js";
import { type FileSource, fileError, openFile, throwIfAborted } from "./node-source.js";

/** A model folder on disk. @throws ClipCapError `not-found` when there is none at `path`. */
export async function nodeFolder(path: string): Promise<ModelFolder> {
  const stats = await stat(path).catch((cause) => {
    throw fileError(path, cause);
  });
  if (!stats.isDirectory()) throw new ClipCapError("bad-input", `${path} is a file; a model is a folder.`);
  const opened: FileSource[] = [];
  const isFile = (file: string) =>
    stat(join(path, file)).then(
      (found) => found.isFile(),
      () => false,
    );
  return {
    name: path,
    has: isFile,
    async open(file) {
      if (!(await isFile(file))) throw missing(path, file);
      const source = await openFile(join(path, file));
      opened.push(source);
      return source;
    },
    async close() {
      await Promise.all(opened.splice(0).map((source) => source.close()));
    },
  };
}

/**
 * Makes a folder so that it is there in full or not at all: `fill` writes into a temporary folder beside it, which is
 * then renamed. Refuses a folder that exists and is not empty ("bad-usage"). Whatever fails, nothing is left behind.
 */
export async function writeFolderAtomically(
  path: string,
  fill: (temporary: string) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const target = resolve(path);
  await refuseExisting(path);
  const temporary = `${target}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  const removeNow = () => rmSync(temporary, { recursive: true, force: true });
  process.once("exit", removeNow);
  try {
    throwIfAborted(signal, path);
    await mkdir(dirname(temporary), { recursive: true });
    await mkdir(temporary);
    await fill(temporary);
    throwIfAborted(signal, path);
    await rmdir(target).catch(() => undefined); // an empty folder; rename refuses anything else
    await rename(temporary, target);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    throw fileError(path, cause);
  } finally {
    process.off("exit", removeNow);
  }
}

/** @throws ClipCapError `bad-usage` unless there is nothing, or an empty folder, at `path`. */
async function refuseExisting(path: string): Promise<void> {
  const files = await readdir(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return [];
    if (cause.code === "ENOTDIR") return [path];
    throw fileError(path, cause);
  });
  if (files.length > 0) {
    throw new ClipCapError("bad-usage", `${path} exists already; name a new folder, or remove it first.`);
  }
}
