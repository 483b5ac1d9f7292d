import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { imageFiles } from "../data/files.js";
import { ClipCapError } from "../runtime/errors.js";
import { arrayEntry, writeSafetensors } from "../weights/node-safetensors.js";
import { checkWritable, fileError } from "../weights/node-source.js";
import { cropOption, type ImageOptions, imageBatches, RAW_ORIENTATION } from "./images.js";
import { type ModelOptions, openModel, withModelOptions } from "./model.js";
import { numeric, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";

type Options = ModelOptions &
  ImageOptions & {
    readonly data?: string;
    readonly images?: string;
    readonly out?: string;
    readonly normalize?: boolean;
    readonly batch: number;
  };

const MAX_BATCH = 256;

const EXAMPLES = `
Examples:
  clipcap embed photo.jpg                                  one JSON line: file, embedding
  clipcap embed holiday/ --normalize --out holiday.safetensors
  clipcap embed --data captions.jsonl --images photos/ --out photos.safetensors

The file holds "embeddings", F32 [images, width], and in its metadata "files", the JSON list of their names in the same
order. The names are those that were given: paths of arguments, or the "file" fields of --data.`;

export function addEmbed(program: Command): void {
  const command = program
    .command("embed")
    .summary("CLIP's vectors of images")
    .description("Computes CLIP's embedding of each image: similar pictures have vectors of similar direction.")
    .argument(
      "[image...]",
      "JPEG, PNG, WebP, GIF, AVIF, TIFF or SVG files, folders, patterns, or - for a list of paths",
    )
    .optionsGroup("Images:")
    .option("--data <file>", 'JSON lines that name images in "file"')
    .option("--images <dir>", "folder of the images that --data names")
    .option("--batch <n>", "images at once", numeric("--batch"), 8)
    .addOption(cropOption(program))
    .option(...RAW_ORIENTATION)
    .optionsGroup("Result:")
    .option("--normalize", "scale each vector to length 1")
    .option("--out <file>", "write a safetensors file instead of JSON lines")
    .addHelpText("after", EXAMPLES)
    .action(embed);
  withCommonOptions(withModelOptions(command));
}

/** Where an image is, and what it is called in the result. */
interface Source {
  readonly name: string;
  readonly path: string;
}

async function embed(args: readonly string[], options: Options): Promise<void> {
  const { batch, out } = options;
  if (!Number.isInteger(batch) || batch < 1 || batch > MAX_BATCH) {
    throw new ClipCapError("bad-usage", `--batch is ${batch}; it must be a whole number from 1 to ${MAX_BATCH}`);
  }
  if (out !== undefined) await checkWritable(out);
  const screen = new Screen(options);
  const sources = await findSources(args, options, screen);
  if (sources.length === 0) return;
  const names = new Map(sources.map(({ name, path }) => [path, name]));
  const opening = openModel(options, screen);
  const preprocessing = opening.then(({ model }) => model.preprocessing);
  const complain = (error: unknown) => screen.complain(error);
  const batches = imageBatches([...names.keys()], batch, preprocessing, options, complain);
  const done: { name: string; vector: Float32Array }[] = [];
  try {
    const { model } = await opening;
    screen.progress("compiling kernels (the driver keeps them for next time)");
    for await (const { files, images } of batches) {
      const vectors = await model.embed(images, { ...options, signal: stopSignal });
      vectors.forEach((raw, i) => {
        const vector = options.normalize ? unit(raw) : raw;
        const name = names.get(files[i]!)!;
        if (out !== undefined) done.push({ name, vector });
        else screen.print(JSON.stringify({ file: name, embedding: [...vector] }));
      });
      screen.progress("embedding", done.length, out === undefined ? 0 : names.size);
    }
    if (out !== undefined && done.length > 0) await save(out, done, options, screen);
  } finally {
    screen.idle();
    await opening.then(
      ({ device }) => device.close(),
      () => {},
    );
  }
}

async function findSources(args: readonly string[], { data, images }: Options, screen: Screen): Promise<Source[]> {
  if (data === undefined) {
    if (images !== undefined)
      throw new ClipCapError("bad-usage", "--images goes with --data; give images as arguments");
    if (args.length === 0)
      throw new ClipCapError("bad-usage", "there is nothing to embed; give images, or --data FILE");
    const { files, errors } = await imageFiles(args, process.stdin);
    for (const error of errors) screen.complain(error);
    return files.map((path) => ({ name: path, path }));
  }
  if (args.length > 0) throw new ClipCapError("bad-usage", "give images or --data, not both");
  if (images === undefined) throw new ClipCapError("bad-usage", "--data needs --images, the folder of its images");
  const text = await readFile(data, "utf8").catch((cause) => {
    throw fileError(data, cause);
  });
  // Said once, and not for each of thousands of images.
  if (!(await stat(images).catch(() => undefined))?.isDirectory()) {
    throw new ClipCapError("not-found", `--images is ${images}, which is no folder; check the path`);
  }
  return fileFields(data, text).map((name) => ({ name, path: join(images, name) }));
}

/** The "file" of every line, each once. */
function fileFields(data: string, text: string): string[] {
  const names = new Set<string>();
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const name = fileField(line);
    // A list from elsewhere must not reach files outside the folder of images.
    if (name === undefined || name.split(/[\\/]/).includes("..")) {
      throw new ClipCapError("bad-input", `${data}, line ${i + 1}: expected {"file": "name of an image", …}`);
    }
    names.add(name);
  }
  if (names.size === 0) throw new ClipCapError("bad-input", `${data} names no images`);
  return [...names];
}

function fileField(line: string): string | undefined {
  try {
    const { file } = JSON.parse(line);
    return typeof file === "string" && file !== "" ? file : undefined;
  } catch {
    return undefined;
  }
}

function unit(v: Float32Array): Float32Array {
  const length = Math.hypot(...v);
  return v.map((x) => x / length);
}

async function save(
  path: string,
  done: readonly { readonly name: string; readonly vector: Float32Array }[],
  { model, normalize, json, quiet }: Options,
  screen: Screen,
): Promise<void> {
  const width = done[0]!.vector.length;
  const values = new Float32Array(done.length * width);
  done.forEach(({ vector }, i) => {
    values.set(vector, i * width);
  });
  const files = JSON.stringify(done.map(({ name }) => name));
  const entry = arrayEntry({ name: "embeddings", dtype: "F32", shape: [done.length, width] }, values);
  const metadata = { files, model, normalized: String(normalize ?? false) };
  await writeSafetensors(path, [entry], metadata, { signal: stopSignal });
  if (json) screen.print(JSON.stringify({ out: path, images: done.length, width }));
  else if (!quiet) screen.print(`Wrote ${path}: ${done.length} embeddings of ${width} numbers`);
}
