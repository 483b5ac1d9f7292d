// The folder of an evaluation. While captions are made:
//   eval.json        what they are captions of: model, data, decoding, kernels; a resumed run must ask for the same
//   captions.jsonl   {"id", "caption", "tokens", "logprob"} for each image in order, or {"id", "error"} where it cannot be read
//   embeddings.f32   CLIP's embedding of each captioned image, little endian
//   stamps.txt       a line for each line of captions: by which the picture is known to be still the same. It holds the
//                    times of files, so copies of the pictures make another one, and the same of everything else
import { appendFile, mkdir, open, readdir, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import { fileError, writeAtomically } from "../weights/node-source.js";

/** What captions belong to, by the names that people read when it does not fit. */
export type Identity = Readonly<Record<string, string | number>>;

export interface Captioned {
  readonly id: string;
  readonly caption: string;
  readonly tokens: readonly number[];
  /** Sum over the tokens. */
  readonly logprob: number;
}

/** An image that cannot be read; it is left out of the scores. */
export interface Unreadable {
  readonly id: string;
  readonly error: string;
}

export type Line = Captioned | Unreadable;

/** An image, and what it is known by to be still the same; see `stamped`. */
export interface Stamped {
  readonly id: string;
  readonly stamp: string;
}

const CAPTIONS = "captions.jsonl";
const EMBEDDINGS = "embeddings.f32";
const STAMPS = "stamps.txt";
const IDENTITY = "eval.json";
/** What a run leaves that is killed while it writes eval.json. */
const UNFINISHED = /^eval\.json\..*\.tmp$/;

/** The captions so far, and where further ones go. */
export class EvalFiles {
  private constructor(
    readonly folder: string,
    /** Values of an embedding. */
    private readonly width: number,
    private readonly images: readonly Stamped[],
    readonly lines: Line[],
    /** Of the images that have a caption, in order. */
    readonly embeddings: Float32Array[],
    /** The first image that is no longer what was captioned; lines from its batch on were dropped. */
    readonly changed: string | undefined,
  ) {}

  /**
   * Makes the folder, or takes up what an earlier run left there, up to the first image that has changed since: whole
   * batches of `batch` images, since the last bits of a caption's probability depend on what is computed beside it.
   * @param images in their order
   * @throws ClipCapError `bad-usage` where the folder holds anything else, `io`
   */
  static async open(
    folder: string,
    identity: Identity,
    { images, batch, width }: { readonly images: readonly Stamped[]; readonly batch: number; readonly width: number },
  ): Promise<EvalFiles> {
    await claim(folder, identity);
    const text = await textIfThere(join(folder, CAPTIONS));
    const bytes = (await readIfThere(join(folder, EMBEDDINGS))) ?? Buffer.alloc(0);
    const stamps = (await textIfThere(join(folder, STAMPS))).split("\n").slice(0, -1);
    const there = wholeLines(text, images);
    const changed = there.findIndex((_, i) => stamps[i] !== images[i]!.stamp);
    const found = changed < 0 ? there : there.slice(0, changed);
    const fits = (lines: readonly Line[]) => 4 * width * captionsOf(lines).length <= bytes.length;
    let count = found.length === images.length ? found.length : found.length - (found.length % batch);
    while (count > 0 && !fits(found.slice(0, count))) count = Math.floor((count - 1) / batch) * batch;
    const lines = found.slice(0, count);
    const captions = captionsOf(lines).length;
    await cut(join(folder, CAPTIONS), Buffer.byteLength(linesText(lines)));
    await cut(join(folder, EMBEDDINGS), 4 * width * captions);
    await cut(join(folder, STAMPS), Buffer.byteLength(stampsText(images.slice(0, count))));
    const values = new Float32Array(new Uint8Array(bytes.subarray(0, 4 * width * captions)).buffer);
    const embeddings = Array.from({ length: captions }, (_, i) => values.subarray(i * width, (i + 1) * width));
    return new EvalFiles(folder, width, images, lines, embeddings, images[changed]?.id);
  }

  /** Writes a batch: as many embeddings as lines have captions. */
  async append(lines: readonly Line[], embeddings: readonly Float32Array[]): Promise<void> {
    const values = new Float32Array(embeddings.length * this.width);
    embeddings.forEach((vector, i) => {
      values.set(vector, i * this.width);
    });
    const { length } = this.lines;
    try {
      // In this order, a run that is killed in between leaves stamps and embeddings that the next one cuts off.
      await appendFile(join(this.folder, STAMPS), stampsText(this.images.slice(length, length + lines.length)));
      await appendFile(join(this.folder, EMBEDDINGS), new Uint8Array(values.buffer));
      await appendFile(join(this.folder, CAPTIONS), linesText(lines));
    } catch (cause) {
      throw fileError(this.folder, cause);
    }
    for (const line of lines) this.lines.push(line);
    for (const vector of embeddings) this.embeddings.push(vector);
  }
}

export function captionsOf(lines: readonly Line[]): Captioned[] {
  return lines.filter((line): line is Captioned => "caption" in line);
}

/** The folder is made, or its eval.json says the same. */
async function claim(folder: string, identity: Identity): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    const entries = await readdir(folder);
    if (entries.includes(IDENTITY)) return checkIdentity(folder, identity);
    if (!entries.every((name) => UNFINISHED.test(name))) {
      const what = `${folder} holds other files; name a new or empty folder with --out`;
      throw new ClipCapError("bad-usage", what);
    }
    const text = `${JSON.stringify(identity, null, 1)}\n`;
    await writeAtomically(join(folder, IDENTITY), (sink) => sink.write(Buffer.from(text)));
  } catch (cause) {
    throw fileError(folder, cause);
  }
}

async function checkIdentity(folder: string, identity: Identity): Promise<void> {
  let known: Identity;
  try {
    known = JSON.parse(await readFile(join(folder, IDENTITY), "utf8")) ?? {};
  } catch {
    throw new ClipCapError("bad-usage", `${join(folder, IDENTITY)} is damaged; name another folder with --out`);
  }
  const names = [...new Set([...Object.keys(identity), ...Object.keys(known)])];
  const other = names.find((name) => known[name] !== identity[name]);
  if (other === undefined) return;
  const values = `${other} ${shown(known[other])} there, ${shown(identity[other])} now`;
  throw new ClipCapError(
    "bad-usage",
    `${folder} holds captions of another run (${values}); name another folder with --out, or delete it`,
  );
}

/** Digests are told apart by their beginnings. */
function shown(value: string | number | undefined): string {
  const text = String(value ?? "unknown");
  return text.length > 40 ? `${text.slice(0, 12)}…` : text;
}

/** The lines that are complete and belong to the images, up to the first that is not. */
function wholeLines(text: string, images: readonly Stamped[]): Line[] {
  const lines: Line[] = [];
  for (const line of text.split("\n").slice(0, -1)) {
    const parsed = parseLine(line);
    if (!parsed || parsed.id !== images[lines.length]?.id || JSON.stringify(parsed) !== line) break;
    lines.push(parsed);
  }
  return lines;
}

function parseLine(text: string): Line | undefined {
  try {
    const line = JSON.parse(text);
    if (typeof line?.error === "string") return line;
    const { tokens } = line;
    const whole = Array.isArray(tokens) && tokens.length > 0 && tokens.every((id) => Number.isInteger(id) && id >= 0);
    return typeof line.caption === "string" && whole ? line : undefined;
  } catch {
    return undefined;
  }
}

function linesText(lines: readonly Line[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

function stampsText(images: readonly Stamped[]): string {
  return images.map(({ stamp }) => `${stamp}\n`).join("");
}

async function textIfThere(path: string): Promise<string> {
  return (await readIfThere(path))?.toString("utf8") ?? "";
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return undefined;
    throw fileError(path, cause);
  });
}

/** Makes a file that is longer this long; appending to a torn line would join two. */
async function cut(path: string, bytes: number): Promise<void> {
  try {
    await (await open(path, "a")).close();
    await truncate(path, bytes);
  } catch (cause) {
    throw fileError(path, cause);
  }
}
