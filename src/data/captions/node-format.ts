// Which of the formats a path holds, told by content.
import { open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ClipCapError } from "../../runtime/errors.js";
import { fileError } from "../../weights/node-source.js";
import { imageFiles } from "../files.js";
import { isGlob } from "../glob.js";
import { FORMATS } from "./dataset.js";
import { isTokenLine, readTableHeader } from "./tables.js";
import { checksumFits } from "./tar.js";

/** Those that are read line by line. */
export type LineFormat = "jsonl" | "token" | "csv";

/** Bytes from which a format is told. */
const HEAD_BYTES = 64 * 1024;
/** A JSON document is one text, and V8's longest has 2^29 - 24 characters; Karpathy's COCO has 144 MB. */
const MAX_JSON_BYTES = 500_000_000;

/** The format of a file by its first lines. Which of the JSON documents it is, only the whole of it says. */
export async function tellFormat(file: string): Promise<LineFormat | "original" | "document"> {
  const head = await readHead(file);
  if (head[0] === 0x80 && head[1]! <= 5) return "original"; // how every pickle since protocol 2 begins
  if (head[0] === 0x1f && head[1] === 0x8b) {
    throw new ClipCapError("bad-input", `${file} is compressed (gzip); unpack it first.`);
  }
  const lines = new TextDecoder().decode(head).split(/\r?\n/);
  const first = lines.find((line) => line.trim() !== "") ?? "";
  if (/\.(jsonl|ndjson)$/i.test(file) || lines.some(namesFile)) return "jsonl";
  if (/^[[{]/.test(first.trimStart())) return "document";
  if (readTableHeader(first)) return "csv";
  if (lines.some(isTokenLine)) return "token";
  throw unknownFormat(file);
}

function namesFile(line: string): boolean {
  try {
    return typeof JSON.parse(line).file === "string";
  } catch {
    return false;
  }
}

export function unknownFormat(file: string): ClipCapError {
  return new ClipCapError("bad-input", `${file} has none of the formats ${FORMATS.join(", ")}; check the file.`);
}

/** The .tar files that a path means: itself, a folder's, a pattern's; none where it means something else. */
export async function findShards(path: string): Promise<readonly string[]> {
  const info = await stat(path).catch(() => undefined);
  if (info?.isDirectory()) {
    const names = (await readdir(path)).filter((name) => name.endsWith(".tar"));
    return names.sort().map((name) => join(path, name));
  }
  if (info) return (await isTar(path)) ? [path] : [];
  if (!isGlob(path)) return [];
  const { files, errors } = await imageFiles([path]);
  if (errors[0]) throw errors[0];
  const other = files.find((file) => !file.endsWith(".tar"));
  if (other === undefined) return files;
  throw new ClipCapError("bad-input", `${path} matches ${other}, which is no .tar file; only shards go by a pattern.`);
}

async function isTar(path: string): Promise<boolean> {
  const head = await readHead(path);
  return head.length >= 512 && checksumFits(head.subarray(0, 512));
}

async function readHead(path: string): Promise<Uint8Array> {
  const handle = await open(path).catch((cause) => {
    throw fileError(path, cause);
  });
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    throw fileError(path, cause);
  } finally {
    await handle.close();
  }
}

/** A JSON document, parsed as a whole. */
export async function readJson(file: string): Promise<unknown> {
  const { size } = await stat(file);
  if (size > MAX_JSON_BYTES) {
    const limit = `${file} has ${size} bytes, more than the limit of ${MAX_JSON_BYTES} for one JSON document`;
    throw new ClipCapError("bad-input", `${limit}; write it as JSON lines.`);
  }
  const text = await readFile(file, "utf8").catch((cause) => {
    throw fileError(file, cause);
  });
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (cause) {
    throw new ClipCapError("bad-input", `${file} is not valid JSON (${(cause as Error).message}).`, { cause });
  }
}
