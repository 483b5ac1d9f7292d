import { ClipCapError } from "../runtime/errors.js";
import { type JsonObject, parseJsonObject } from "./json-fields.js";
import { openSafetensors } from "./safetensors.js";
import { type ByteSource, blobSource, memorySource } from "./source.js";
import type { TensorFile } from "./tensor-file.js";
import { type UrlOptions, urlSource } from "./url-source.js";

/** A tokenizer.json has at most 10 MB; larger texts are no part of a model. */
const MAX_TEXT_BYTES = 64 * 2 ** 20;

/** The files of a model, wherever they are; paths are relative, with "/". */
export interface ModelFolder {
  /** For messages. */
  readonly name: string;
  has(path: string): Promise<boolean>;
  /** @throws ClipCapError `not-found` naming folder and path. */
  open(path: string): Promise<ByteSource>;
  /** Closes what `open` opened. */
  close(): Promise<void>;
}

/** A file in memory, or a File or other Blob of a browser, or anything else that can be read in pieces. */
export type ModelFile = Uint8Array | ArrayBuffer | Blob | ByteSource;

/**
 * Files that are in memory or otherwise at hand, by path.
 * @throws ClipCapError `bad-usage` for anything but a Map, and when a file that is none is opened.
 */
export function mapFolder(name: string, files: ReadonlyMap<string, ModelFile>): ModelFolder {
  if (!(files instanceof Map)) throw unusable(name, "a Map of files by path");
  return {
    name,
    has: async (path) => files.has(path),
    async open(path) {
      const file: ModelFile | undefined = files.get(path);
      if (file === undefined) throw missing(name, path);
      const source = `${name}/${path}`;
      if (file instanceof Blob) return blobSource(file, source);
      if (file instanceof Uint8Array || file instanceof ArrayBuffer) return memorySource(source, file);
      if (typeof file?.read === "function") return file;
      throw unusable(source, "bytes, a Blob or a ByteSource");
    },
    close: async () => undefined,
  };
}

/**
 * The files of a folder that the user chose (`<input webkitdirectory>` or a drop); the chosen folder is the root.
 * @throws ClipCapError `bad-usage` for anything but Files.
 */
export function filesFolder(chosen: ArrayLike<File>): ModelFolder {
  const files = Array.from(chosen ?? [chosen]);
  if (!files.every((file) => file instanceof File)) throw unusable("the chosen files", "a list of Files");
  const paths = files.map((file) => (file.webkitRelativePath || file.name).split("/"));
  const root = paths[0]?.[0] ?? "";
  const nested = paths.every((path) => path.length > 1 && path[0] === root);
  const entries = files.map((file, i) => [paths[i]!.slice(nested ? 1 : 0).join("/"), file] as const);
  return mapFolder(nested ? root : "the chosen files", new Map(entries));
}

/**
 * The files below an address, read by HTTP ranges (see urlSource). A query, such as a token, goes with every file.
 * @throws ClipCapError `bad-usage` for none.
 */
export function urlFolder(base: string | URL, options: UrlOptions = {}): ModelFolder {
  if (!base) throw unusable("the address of a model", "a text or a URL");
  const [, path, query] = /^([^?#]*)([^#]*)/.exec(String(base))!;
  const root = path!.replace(/\/+$/, "");
  const opened = new Map<string, Promise<ByteSource>>();
  const open = (path: string) => {
    const source = opened.get(path) ?? urlSource(`${root}/${path}${query}`, options);
    opened.set(path, source);
    return source;
  };
  return {
    name: root,
    open,
    async has(path) {
      try {
        await open(path);
        return true;
      } catch (error) {
        if (error instanceof ClipCapError && error.code === "not-found") return false;
        throw error;
      }
    },
    close: async () => opened.clear(),
  };
}

/** Without types anything can be given. */
function unusable(what: string, wanted: string): ClipCapError {
  return new ClipCapError("bad-usage", `${what} must be ${wanted}`);
}

/** The error for a file that a folder lacks. */
export function missing(folder: string, path: string): ClipCapError {
  return new ClipCapError("not-found", `${folder} has no ${path}; is it the folder of a complete model?`);
}

/** `folder` with paths that start at `path`; "." is the folder itself. Closing it closes nothing. */
export function subfolder(folder: ModelFolder, path: string): ModelFolder {
  if (path === ".") return { ...folder, close: async () => undefined };
  return {
    name: `${folder.name}/${path}`,
    has: (file) => folder.has(`${path}/${file}`),
    open: (file) => folder.open(`${path}/${file}`),
    close: async () => undefined,
  };
}

/** A text file in UTF-8. @throws ClipCapError `not-found`, `bad-weights` */
export async function readText(folder: ModelFolder, path: string): Promise<string> {
  const source = await folder.open(path);
  if (source.size > MAX_TEXT_BYTES) {
    throw new ClipCapError(
      "bad-weights",
      `${source.name} has ${source.size} bytes; a text file here has at most ${MAX_TEXT_BYTES}.`,
    );
  }
  return new TextDecoder().decode(await source.read(0, source.size));
}

/** A JSON object. @throws ClipCapError `not-found`, `bad-weights` */
export async function readJson(folder: ModelFolder, path: string): Promise<JsonObject> {
  return parseJsonObject(`${folder.name}/${path}`, await readText(folder, path));
}

/** Opens safetensors or torch.save's zip, told apart by their first bytes, not by their names. */
export async function openTensors(source: ByteSource): Promise<TensorFile> {
  const magic = source.size < 8 ? new Uint8Array(0) : await source.read(0, 4);
  const [a, b] = magic;
  if (a === 0x50 && b === 0x4b) {
    const { openTorch } = await import("./torch.js"); // 7 KB that few need
    return openTorch(source);
  }
  if (a === 0x80 && b === 0x02) {
    throw new ClipCapError(
      "bad-weights",
      `${source.name} is a checkpoint in the format before torch 1.6; load it in PyTorch and save it again.`,
    );
  }
  return openSafetensors(source);
}
