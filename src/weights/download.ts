import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ClipCapError } from "../runtime/errors.js";
import { fileError } from "./node-source.js";

/** Attempts in a row that bring no byte before the download gives up; it resumes at the next call. */
const MAX_FRUITLESS_ATTEMPTS = 5;
const RETRY_MS = 500;

export interface Download {
  readonly url: string;
  /** The complete file; while it grows it is called PATH.incomplete, as Python's huggingface_hub calls it. */
  readonly path: string;
  readonly size: number;
  readonly checksum: { readonly kind: "sha256" | "git-sha1"; readonly hex: string };
}

export interface DownloadOptions {
  readonly fetch?: typeof fetch;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  /** Pause after a broken connection, doubled each time in a row; half a second unless told. */
  readonly retryMs?: number;
}

/**
 * Downloads a file of known size and checksum, going on where an earlier attempt or call broke off (HTTP Range).
 * @throws ClipCapError `network` when the connection keeps breaking (what came stays for the next call) or when the
 * checksum is wrong (the file is removed), `not-found` for 404, `aborted` through the signal.
 */
export async function download(file: Download, options: DownloadOptions = {}): Promise<void> {
  const partial = `${file.path}.incomplete`;
  try {
    await mkdir(dirname(partial), { recursive: true });
    const handle = await open(partial, "a+");
    try {
      await fetchRest(file, new Partial(handle, partial, file), options);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, file.path);
  } catch (cause) {
    throw fileError(partial, cause);
  }
}

/** The growing file and the hash of what it holds so far. */
class Partial {
  done = 0;
  #hash: Hash;

  constructor(
    readonly handle: FileHandle,
    readonly path: string,
    readonly file: Download,
  ) {
    this.#hash = this.#newHash();
  }

  /** Git's own hash is SHA-1 over "blob SIZE\0" and the content; large files have a plain SHA-256. */
  #newHash(): Hash {
    if (this.file.checksum.kind === "sha256") return createHash("sha256");
    return createHash("sha1").update(`blob ${this.file.size}\0`);
  }

  /** Takes over what an earlier call left. */
  async resume(): Promise<void> {
    const { size } = await stat(this.path);
    if (size > this.file.size) return this.restart();
    for await (const piece of createReadStream(this.path)) this.#hash.update(piece as Buffer);
    this.done = size;
  }

  async restart(): Promise<void> {
    await this.handle.truncate(0);
    this.#hash = this.#newHash();
    this.done = 0;
  }

  async append(piece: Uint8Array): Promise<void> {
    if (this.done + piece.length > this.file.size) throw await this.refuse("is longer than the hub says");
    await this.handle.appendFile(piece);
    this.#hash.update(piece);
    this.done += piece.length;
  }

  async verify(): Promise<void> {
    const found = this.#hash.digest("hex");
    if (found !== this.file.checksum.hex) {
      throw await this.refuse(`has the checksum ${found} instead of ${this.file.checksum.hex}`);
    }
  }

  async refuse(what: string): Promise<ClipCapError> {
    await rm(this.path, { force: true });
    return new ClipCapError("network", `${this.file.url} ${what}; the file was removed, fetch it again.`);
  }
}

async function fetchRest(file: Download, partial: Partial, options: DownloadOptions): Promise<void> {
  const { signal, onProgress, retryMs = RETRY_MS } = options;
  await partial.resume();
  for (let fruitless = 0; partial.done < file.size; ) {
    const before = partial.done;
    let failure: unknown;
    try {
      await attempt(file, partial, options);
    } catch (cause) {
      if (signal?.aborted) {
        throw new ClipCapError("aborted", `Downloading ${file.url} was cancelled; fetch it again to go on.`, { cause });
      }
      if (cause instanceof ClipCapError || isFileError(cause)) throw cause;
      failure = cause;
    }
    onProgress?.(partial.done, file.size);
    if (partial.done === file.size) break;
    fruitless = partial.done > before ? 0 : fruitless + 1;
    if (fruitless === MAX_FRUITLESS_ATTEMPTS) {
      throw new ClipCapError(
        "network",
        `${file.url}: the connection broke at ${partial.done} of ${file.size} bytes; fetch it again to go on from there.`,
        { cause: failure },
      );
    }
    await sleep(retryMs * 2 ** fruitless, undefined, { signal }).catch(() => undefined);
  }
  await partial.verify();
}

/** System errors of the disk carry an errno and a path or "write"; fetch wraps those of the network in a TypeError. */
const isFileError = (cause: unknown): boolean =>
  cause instanceof Error && "syscall" in cause && !(cause instanceof TypeError);

/** One request for what is missing. Broken connections throw what fetch throws; servers that are busy are tried again. */
async function attempt(file: Download, partial: Partial, { fetch: send = fetch, signal, onProgress }: DownloadOptions) {
  const headers: Record<string, string> = { "Accept-Encoding": "identity" };
  if (partial.done > 0) headers.Range = `bytes=${partial.done}-`;
  const response = await send(file.url, { headers, signal });
  const { status } = response;
  if (status === 429 || status >= 500) {
    await response.body?.cancel();
    throw new Error(`HTTP ${status}`);
  }
  if (status !== 200 && status !== 206) {
    await response.body?.cancel();
    throw new ClipCapError(status === 404 ? "not-found" : "network", `${file.url}: the server answered ${status}.`);
  }
  const start = status === 206 ? Number(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1]) : 0;
  if (start !== partial.done) await partial.restart(); // the server ignores ranges, or answers another one
  if (status === 206 && start !== partial.done) {
    await response.body?.cancel();
    throw new Error("the server answered another range");
  }
  for await (const piece of response.body ?? []) {
    await partial.append(piece);
    onProgress?.(partial.done, file.size);
  }
}
