import type { Command } from "commander";
import { type DatasetFormat, FORMATS } from "../data/captions/dataset.js";
import { openDataset } from "../data/captions/node-open.js";
import { MAX_SHOWN, problemSummary } from "../data/captions/problems.js";
import { imageFiles } from "../data/files.js";
import { ClipCapError } from "../runtime/errors.js";
import { arrayEntry, writeSafetensors } from "../weights/node-safetensors.js";
import { checkWritable } from "../weights/node-source.js";
import { cropOption, type ImageOptions, imageBatches, type NamedImage, namedFiles, RAW_ORIENTATION } from "./images.js";
import { type ModelOptions, openModel, withModelOptions } from "./model.js";
import { numeric, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";

type Options = ModelOptions &
  ImageOptions & {
    readonly data?: string;
    readonly images?: string;
    readonly format?: DatasetFormat;
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
order. The names are those that were given: paths of arguments, or the ids that --data has for its images. It takes the
data sets that clipcap eval and train do, and images without a caption too.`;

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
    .option("--data <file|dir>", "a data set: COCO, Karpathy, Flickr, CSV, JSON lines, WebDataset …")
    .option("--images <dir>", "folder of the images that --data names (default: images beside the data)")
    .addOption(program.createOption("--format <name>", "of --data, where it is not recognised").choices(FORMATS))
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

async function embed(args: readonly string[], options: Options): Promise<void> {
  const { batch, out } = options;
  if (!Number.isInteger(batch) || batch < 1 || batch > MAX_BATCH) {
    throw new ClipCapError("bad-usage", `--batch is ${batch}; it must be a whole number from 1 to ${MAX_BATCH}`);
  }
  if (out !== undefined) await checkWritable(out);
  const screen = new Screen(options);
  const found = await findImages(args, options, screen);
  if (found.length === 0) return;
  const opening = openModel(options, screen);
  const preprocessing = opening.then(({ model }) => model.preprocessing);
  const complain = (error: unknown) => screen.complain(error);
  const batches = imageBatches(found, batch, preprocessing, options, complain);
  const done: { name: string; vector: Float32Array }[] = [];
  try {
    const { model } = await opening;
    screen.progress("compiling kernels (the driver keeps them for next time)");
    for await (const { names, images } of batches) {
      const vectors = await model.embed(images, { batch, signal: stopSignal });
      vectors.forEach((raw, i) => {
        const vector = options.normalize ? unit(raw) : raw;
        const name = names[i]!;
        if (out !== undefined) done.push({ name, vector });
        else screen.print(JSON.stringify({ file: name, embedding: [...vector] }));
      });
      screen.progress("embedding", done.length, out === undefined ? 0 : found.length);
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

async function findImages(args: readonly string[], options: Options, screen: Screen): Promise<readonly NamedImage[]> {
  const { data, images, format, rawOrientation } = options;
  if (data === undefined) {
    if (images !== undefined)
      throw new ClipCapError("bad-usage", "--images goes with --data; give images as arguments");
    if (format !== undefined) throw new ClipCapError("bad-usage", "--format goes with --data; leave it out");
    if (args.length === 0)
      throw new ClipCapError("bad-usage", "there is nothing to embed; give images, or --data FILE");
    const { files, errors } = await imageFiles(args, process.stdin);
    for (const error of errors) screen.complain(error);
    return namedFiles([...new Set(files)], options);
  }
  if (args.length > 0) throw new ClipCapError("bad-usage", "give images or --data, not both");
  const set = await openDataset(data, { images, format, rawOrientation, captionless: true });
  const { kept } = set.problems;
  for (const { message } of kept.slice(0, MAX_SHOWN)) screen.complain(new ClipCapError("bad-input", message));
  if (kept.length > MAX_SHOWN) screen.note(`${data}: ${problemSummary(set.problems)}`);
  return set.images.map(({ id: name, decode }) => ({ name, decode }));
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
