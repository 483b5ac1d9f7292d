import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import { expandBraces, isGlob, matchesName } from "./glob.js";

/** Extensions that a folder or the end of a pattern `**` is searched for; a file named outright may have any. */
const IMAGE_EXTENSIONS = /\.(jpe?g|png|webp|gif|avif|tiff?|svg)$/i;

/** Deepest folder that is entered, so that a folder linked into itself ends. */
const MAX_DEPTH = 32;
/** Most images of one command; the paths of a million take some 200 MB. */
const MAX_FILES = 1_000_000;

export interface ImageFiles {
  /** In the order of the arguments, sorted within a folder or pattern; each path once. */
  readonly files: readonly string[];
  /** One for each argument that led to nothing; the others are captioned all the same. */
  readonly errors: readonly ClipCapError[];
}

/**
 * Image files that the arguments of a command mean: files, folders (searched recursively), patterns (`*`, `?`, `**`,
 * `{a,b}`) and "-", which stands for the lines of `input`. A file that exists is never taken for a pattern.
 * @param input standard input, read only when "-" occurs
 */
export async function imageFiles(
  args: readonly string[],
  input?: AsyncIterable<string | Uint8Array>,
): Promise<ImageFiles> {
  const files = new Set<string>();
  const errors: ClipCapError[] = [];
  for (const arg of args) {
    try {
      const paths = arg === "-" ? await readLines(input) : [arg];
      if (paths.length === 0) throw new ClipCapError("not-found", "standard input names no images.");
      for (const path of paths) await expand(path, files, errors);
    } catch (error) {
      if (!(error instanceof ClipCapError)) throw error;
      errors.push(error);
    }
  }
  return { files: [...files], errors };
}

async function expand(path: string, files: Set<string>, errors: ClipCapError[]): Promise<void> {
  try {
    for (const file of await filesOf(path)) {
      if (files.size >= MAX_FILES) throw new ClipCapError("bad-usage", `${path} brings more than ${MAX_FILES} images.`);
      files.add(file);
    }
  } catch (error) {
    if (!(error instanceof ClipCapError)) throw error;
    errors.push(error);
  }
}

async function filesOf(path: string): Promise<string[]> {
  const info = path === "" ? undefined : await kindOf(path);
  if (info === "file") return [path];
  const found = new Set<string>();
  if (info === "folder") {
    await search(path, ["**"], 0, found);
    if (found.size > 0) return [...found].sort();
    throw new ClipCapError("not-found", `${path} has no images in it (JPEG, PNG, WebP, GIF, AVIF, TIFF, SVG).`);
  }
  if (!isGlob(path)) throw new ClipCapError("not-found", `${path || '""'} does not exist; check the path.`);
  for (const pattern of expandBraces(path)) {
    const root = pattern.startsWith("/") ? "/" : "";
    const parts = pattern.split("/").filter((part) => part !== "");
    await search(root, parts, 0, found);
  }
  if (found.size > 0) return [...found].sort();
  throw new ClipCapError("not-found", `${path} matches no file; check the pattern.`);
}

/**
 * Files below a folder whose names fit a pattern such as `*.txt`, sorted; hidden ones are passed over.
 * @throws ClipCapError `io`
 */
export async function filesBelow(folder: string, pattern: string): Promise<string[]> {
  const found = new Set<string>();
  await search(folder, ["**", pattern], 0, found);
  return [...found].sort();
}

/** Adds the files below `folder` that fit the rest of a pattern to `found`. */
async function search(folder: string, parts: readonly string[], depth: number, found: Set<string>): Promise<void> {
  const [part, ...rest] = parts;
  if (part === undefined || depth > MAX_DEPTH) return;
  if (part !== "**" && !isGlob(part)) return follow(join(folder, part), rest, depth, found);
  if (part === "**" && rest.length > 0) await search(folder, rest, depth, found);
  const entries = await list(folder);
  const inside = join(folder, "x").slice(0, -1); // joined once: each name by itself takes 0.2 s for 100,000
  for (const entry of entries) {
    const path = inside + entry.name;
    if (part !== "**") {
      if (matchesName(entry.name, part)) await follow(path, rest, depth, found);
    } else if (!entry.name.startsWith(".")) {
      // Waiting for what is known already would take a third of the time of a folder of 100,000.
      const kind = entry.isSymbolicLink() ? await kindOfLink(path) : kindOfEntry(entry);
      if (kind === "folder") await search(path, parts, depth + 1, found);
      else if (kind === "file" && rest.length === 0 && IMAGE_EXTENSIONS.test(entry.name)) found.add(path);
    }
  }
}

/** What lies at a path that fitted one part of a pattern: a file where the pattern ends, a folder before. */
async function follow(path: string, rest: readonly string[], depth: number, found: Set<string>): Promise<void> {
  if (rest.length > 0) return search(path, rest, depth + 1, found);
  if ((await kindOf(path)) === "file") found.add(path);
}

async function list(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder === "" ? "." : folder, { withFileTypes: true });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw new ClipCapError("io", `${folder} cannot be read (${code}); check its permissions.`, { cause });
  }
}

function kindOfEntry(entry: Dirent): "file" | "folder" | undefined {
  if (entry.isDirectory()) return "folder";
  return entry.isFile() ? "file" : undefined;
}

/** Links are followed to files but not into folders, which could contain the link itself. */
async function kindOfLink(path: string): Promise<"file" | undefined> {
  return (await kindOf(path)) === "file" ? "file" : undefined;
}

async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    // Missing, or in a folder that may not be entered: either way there is nothing to read here.
    return undefined;
  }
}

/** Longest list that is read from standard input: MAX_FILES paths of 100 bytes. */
const MAX_INPUT_BYTES = 100_000_000;

async function readLines(input: AsyncIterable<string | Uint8Array> | undefined): Promise<string[]> {
  if (input === undefined)
    throw new ClipCapError("bad-usage", '"-" reads paths from standard input, which is not available.');
  const utf8 = new TextDecoder();
  let text = "";
  for await (const chunk of input) {
    text += typeof chunk === "string" ? chunk : utf8.decode(chunk, { stream: true });
    if (text.length > MAX_INPUT_BYTES) {
      throw new ClipCapError("bad-usage", `standard input has more than ${MAX_INPUT_BYTES} bytes; give fewer paths.`);
    }
  }
  return (text + utf8.decode()).split(/\r?\n/).filter((line) => line !== "");
}
