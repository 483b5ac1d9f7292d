import { randomBytes } from "node:crypto";
import { constants, rmSync } from "node:fs";
import { access, type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import { type ByteSource, checkRange } from "./source.js";

/** A ByteSource over an open file; close it when done. */
export interface FileSource extends ByteSource {
  close(): Promise<void>;
}

/** Opens a file for positional reads (pread). @throws ClipCapError `not-found`, `io` */
export async function openFile(path: string): Promise<FileSource> {
  let handle: FileHandle;
  let size: number;
  try {
    handle = await open(path, "r");
  } catch (cause) {
    throw fileError(path, cause);
  }
  const stats = await handle.stat();
  if (!stats.isFile()) {
    await handle.close();
    throw new ClipCapError("io", `${path} is not a regular file; name a file.`);
  }
  size = stats.size;
  return {
    name: path,
    size,
    async read(offset, length) {
      checkRange({ name: path, size }, offset, length);
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done).catch((cause) => {
          throw fileError(path, cause);
        });
        if (bytesRead === 0)
          throw new ClipCapError("io", `${path} became shorter while it was read; run again when it is complete.`);
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}

/** Receives the bytes of a file that is being written. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Writes a file so that `path` has either its old content or all of the new: a temporary file in the same folder is
 * filled by `fill`, flushed to disk and renamed. Whatever fails (a full disk, an abort, the end of the process), the
 * temporary file is removed. Creates the folder if needed.
 */
export async function writeAtomically(
  path: string,
  fill: (sink: ByteSink) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const temporary = `${resolve(path)}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  const removeNow = () => rmSync(temporary, { force: true });
  process.once("exit", removeNow);
  try {
    throwIfAborted(signal, path);
    await makeFolder(dirname(path));
    const handle = await open(temporary, "wx");
    try {
      await fill({
        async write(bytes) {
          throwIfAborted(signal, path);
          await handle.appendFile(bytes);
        },
      });
      throwIfAborted(signal, path);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {}); // what failed first is what people need to know
    throw fileError(path, cause);
  } finally {
    process.off("exit", removeNow);
  }
}

/** Makes a folder and those above it, where they are not there. @throws ClipCapError `io` */
async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause) => {
    throw fileError(path, cause);
  });
}

/** What can be known to be in the way of a file before hours of work for it. @throws ClipCapError `io` */
export async function checkWritable(out: string): Promise<void> {
  for (let path = resolve(out); ; path = dirname(path)) {
    const info = await stat(path).catch(() => undefined);
    if (path === resolve(out) ? info?.isDirectory() : info && !info.isDirectory()) {
      const what = info?.isDirectory() ? "a folder; give a file" : "no folder; give another path";
      throw new ClipCapError("io", `${out} cannot be written: ${path} is ${what}`);
    }
    if (!info?.isDirectory() && path !== dirname(path)) continue;
    return access(path, constants.W_OK).catch((cause) => {
      throw fileError(path, cause);
    });
  }
}

/** Flushes the names in a folder: one that was made or renamed is on the disk only then. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @throws ClipCapError `aborted` when the signal has fired; `path` names what was being made. */
export function throwIfAborted(signal: AbortSignal | undefined, path: string): void {
  if (signal?.aborted) throw new ClipCapError("aborted", `Writing ${path} was cancelled; nothing was left behind.`);
}

/** One sentence for what the operating system said about a file; errors of this project pass unchanged. */
export function fileError(path: string, cause: unknown): Error {
  if (cause instanceof ClipCapError || !(cause instanceof Error)) return cause as Error;
  const code = (cause as NodeJS.ErrnoException).code;
  switch (code) {
    case "ENOENT":
      return new ClipCapError("not-found", `${path} does not exist; check the path.`, { cause });
    case "EACCES":
    case "EPERM":
      return new ClipCapError("io", `${path}: permission denied; change its permissions, or name another.`, { cause });
    case "EISDIR":
      return new ClipCapError("io", `${path} is a folder; name a file.`, { cause });
    case "EEXIST":
      return new ClipCapError("io", `${path} is a file; name a folder.`, { cause });
    case "ENOTDIR":
      return new ClipCapError("io", `${path} lies below a file; check the path.`, { cause });
    case "ENOSPC":
    case "EDQUOT":
      return new ClipCapError("io", `${path}: the disk is full; free some space and run again.`, { cause });
    case undefined:
      return cause;
    default:
      return new ClipCapError("io", `${path}: ${cause.message}`, { cause });
  }
}
