import type { Command } from "commander";
import { type CaptionedImage, type DatasetFormat, FORMATS } from "../data/captions/dataset.js";
import { openDataset } from "../data/captions/node-open.js";
import { AS_WRITTEN } from "../data/captions/normalise.js";
import { problemSummary } from "../data/captions/problems.js";
import { type AttendedWord, attendedWords } from "../eval/attention.js";
import { captionRest } from "../eval/captioning.js";
import { captionsOf, EvalFiles, type Unreadable } from "../eval/node-files.js";
import { cocoNames, writeOutputs } from "../eval/node-outputs.js";
import { dataDigest, stamped, testImages } from "../eval/node-test-images.js";
import { chooseShown } from "../eval/report/gallery.js";
import { type EvalResult, resultJson } from "../eval/result.js";
import { retrieve } from "../eval/retrieval.js";
import { compareSystems, scoreSystem, testSet } from "../eval/scoring.js";
import { show } from "../metrics/captions.js";
import { CLIP_SCORE_PROMPT } from "../metrics/clip-score.js";
import { ClipTextEncoder } from "../models/clip-text-encoder.js";
import { ClipCap } from "../models/clipcap.js";
import { modelFolder } from "../node/model.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { modelDigest } from "../weights/node-digest.js";
import { chooseDevice } from "./device.js";
import { evalLines } from "./eval-lines.js";
import { openRival, type Rival } from "./eval-rival.js";
import { cropOption, type ImageOptions, RAW_ORIENTATION } from "./images.js";
import { type ModelOptions, withModelOptions } from "./model.js";
import { collect, numeric, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";

interface Options extends ModelOptions, ImageOptions {
  readonly data: string;
  readonly images?: string;
  readonly format?: DatasetFormat;
  readonly split: string;
  readonly limit?: number;
  readonly beam?: number;
  readonly batch: number;
  readonly out: string;
  readonly compare?: readonly string[];
  readonly retrieval?: boolean;
}

/** Two cores under lavapipe: 1,000 photos in 47 s, all told. With 32, 48 or 96 at once captions took 13 to 24 % longer. */
const DEFAULT_BATCH = 16;
const MAX_BATCH = 256;

const HELP = `
Examples:
  clipcap eval --data captions.jsonl --images photos/           the split "test", by the shipped model, into eval/
  clipcap eval --data data/ --split dev --model my-model --beam 5 --out eval-beam
  clipcap eval --data data/ --compare eval-beam --compare other.json --retrieval

The folder --out holds scores.json, report.html (a page for people), captions.jsonl, and for METEOR and SPICE, which the
official tools measure, results.json and references.json in COCO's formats (a photo of COCO by its number, where no other
image has the same). Interrupted, the same command goes on where it was and writes the same files; from the first picture
on that has changed since, captions are made anew. CLIPScore is by the model's own CLIP, and left out where that has no
text tower. --retrieval counts the images one of whose own texts is among the nearest 1, 5 or 10 of all texts, and the texts
whose own image is among the nearest of all images.

--compare takes captions of the same images (COCO results, JSON lines, {"id": "…"}), the folder of another evaluation, or
a model, which then makes its captions first; it tests the differences by a paired bootstrap. Images that the other
evaluation could not read are left out of both.`;

export function addEval(program: Command): void {
  const command = program
    .command("eval")
    .summary("how good a model's captions are, with a page of examples")
    .description("Captions the images of a data set and scores the captions against those that people wrote.")
    .requiredOption("--data <file|dir>", "images with captions: COCO, Karpathy, Flickr, CSV, JSON lines, WebDataset …")
    .option("--images <dir>", "folder of the images (default: images beside the data)")
    .addOption(program.createOption("--format <name>", "of --data, where it is not recognised").choices(FORMATS))
    .option("--split <name>", "test, val, train, or all", "test")
    .option("--limit <n>", "only the first n images", numeric("--limit"))
    .addOption(cropOption(program))
    .option(...RAW_ORIENTATION)
    .optionsGroup("Captions:")
    .option("--greedy", "the most probable token at each step (default)")
    .option("--beam <n>", "beam search with n beams", numeric("--beam"))
    .option("--batch <n>", "images at once", numeric("--batch"), DEFAULT_BATCH)
    .optionsGroup("Result:")
    .option("--out <dir>", "folder of the results", "eval")
    .option("--compare <file|dir|model>", "other captions beside these; may be given several times", collect)
    .option("--retrieval", "how often CLIP finds the right text of an image, and the right image of a text")
    .addHelpText("after", HELP)
    .action(evaluate);
  command.options.find((option) => option.long === "--greedy")?.conflicts(["beam"]);
  withCommonOptions(withModelOptions(command));
}

/** What captions of one model are needed for. */
interface Job {
  readonly device: Device;
  readonly images: readonly CaptionedImage[];
  readonly options: Options;
  readonly screen: Screen;
}

/** Captions and CLIP's embeddings, by image id; images that could not be read have none. */
interface Described {
  readonly name: string;
  readonly captions: ReadonlyMap<string, string>;
  readonly embeddings: ReadonlyMap<string, Float32Array>;
  /** Token ids of the captions. */
  readonly tokens: ReadonlyMap<string, readonly number[]>;
}

async function evaluate(options: Options): Promise<void> {
  checkRange("--batch", options.batch, MAX_BATCH);
  checkRange("--limit", options.limit ?? 1);
  checkRange("--beam", options.beam ?? 1, 16);
  const screen = new Screen(options);
  screen.progress(`reading ${options.data}`);
  const { format, rawOrientation } = options;
  const data = await openDataset(options.data, {
    images: options.images,
    format,
    rawOrientation,
    normalise: AS_WRITTEN,
  });
  const problems = problemSummary(data.problems);
  if (problems !== "") screen.note(`${options.data}: ${problems}. ${data.problems.kept[0]!.message}`);
  const images = testImages(data, options.split, options.limit ?? data.images.length);
  const ids = images.map(({ id }) => id);
  const rivals = await Promise.all((options.compare ?? []).map((spec) => openRival(spec, ids)));
  const device = await chooseDevice(options.device);
  try {
    const job = { device, images, options, screen };
    const training = data.images.filter(({ split }) => split === "train").flatMap(({ captions }) => captions);
    const result = await measure(job, rivals, training.length > 0 ? training : undefined);
    if (options.json) screen.print(JSON.stringify(resultJson(result)));
    else for (const line of evalLines(result)) screen.print(line);
    if (!options.json && !options.quiet) screen.print(`\nWrote ${options.out}/report.html, scores.json, results.json`);
  } finally {
    screen.idle();
    device.close();
  }
}

async function measure(
  job: Job,
  rivals: readonly Rival[],
  training: readonly string[] | undefined,
): Promise<EvalResult> {
  const { images, options, screen } = job;
  const described = [await describe(job, options.model, options.out)];
  for (const [i, rival] of rivals.entries()) {
    const own = rival.type === "model" ? await describe(job, rival.name, `${options.out}/compare-${i + 1}`) : undefined;
    described.push(own ?? { ...(rival as Rival & { type: "file" }), embeddings: new Map(), tokens: new Map() });
  }
  // By their names in results.json, so that `clipcap metrics` draws the same images for its intervals.
  const names = cocoNames(images.map(({ id }) => id));
  const readable = images
    .filter(({ id }) => described.every(({ captions }) => captions.has(id)))
    .sort((a, b) => (names.get(a.id)! < names.get(b.id)! ? -1 : 1));
  if (readable.length === 0) throw new ClipCapError("bad-input", `no image of ${options.data} can be read`);
  const captions = described.map((one) => readable.map(({ id }) => one.captions.get(id)!));
  const vectors = await textVectors(job, readable, captions);
  screen.progress("scoring");
  const pictures = readable.map(({ id }) => described[0]!.embeddings.get(id)!);
  const clip = vectors && { images: pictures, references: vectors.references };
  const set = testSet(readable, training, clip);
  const systems = described.map(({ name }, i) => scoreSystem(name, captions[i]!, set, vectors?.captions[i]));
  const result: EvalResult = {
    data: options.data,
    split: options.split,
    decoding: decodingOf(options),
    tuned: job.device.tuned?.digest ?? null,
    set,
    leftOut: images.filter((image) => !readable.includes(image)).map(({ id }) => id),
    systems,
    comparisons: systems.slice(1).map((system) => compareSystems(systems[0]!, system)),
    retrieval: vectors?.texts && retrieve(pictures, vectors.texts),
  };
  const attention = await attentionOf(job, result, described[0]!);
  screen.progress("writing the page");
  await writeOutputs(options.out, result, readable, attention);
  return result;
}

/** Captions of one model in a folder of their own. */
async function describe({ device, images, options, screen }: Job, spec: string, folder: string): Promise<Described> {
  screen.progress(`loading ${spec}`);
  const weights = await modelDigest(await modelFolder(spec));
  const model = await ClipCap.load(device, await modelFolder(spec), { dtype: options.dtype, signal: stopSignal });
  const { name } = model.files.manifest;
  const identity = {
    model: name,
    weights,
    dtype: options.dtype,
    images: images.length,
    data: dataDigest(images),
    decoding: decodingOf(options),
    tuned: device.tuned?.digest ?? "none",
    batch: options.batch,
    crop: options.crop ?? "torchvision",
    orientation: options.rawOrientation ? "raw" : "EXIF",
  };
  const width = model.files.clip.config.vision.projection;
  const stamps = await stamped(images);
  const files = await EvalFiles.open(folder, identity, { images: stamps, batch: options.batch, width });
  if (files.changed !== undefined) {
    screen.note(
      `${folder}: ${show(files.changed)} is another picture than was captioned; captions are made anew from there`,
    );
  }
  for (const line of files.lines) if ("error" in line) screen.complain(storedError(folder, line));
  const onProgress = (done: number) => screen.progress(`captioning with ${name}`, done, images.length);
  onProgress(files.lines.length);
  await captionRest(model, images, files, {
    decoding: options.beam === undefined ? {} : { beam: options.beam },
    batch: options.batch,
    crop: options.crop,
    signal: stopSignal,
    onProgress,
    onUnreadable: (error) => screen.complain(error),
  });
  model.close();
  const lines = captionsOf(files.lines);
  return {
    name,
    captions: new Map(lines.map(({ id, caption }) => [id, caption])),
    embeddings: new Map(lines.map(({ id }, i) => [id, files.embeddings[i]!])),
    tokens: new Map(lines.map(({ id, tokens }) => [id, tokens])),
  };
}

/** Every run says what it leaves out. */
function storedError(folder: string, { id, error }: Unreadable): ClipCapError {
  return new ClipCapError(
    "bad-image",
    `${folder}: ${show(id)} could not be read (${error}); it is tried again when its file has changed`,
  );
}

/** What the model's captions on the page attended to. Of all captions it would take as long as making them. */
async function attentionOf(
  { device, options, screen }: Job,
  result: EvalResult,
  { embeddings, tokens }: Described,
): Promise<ReadonlyMap<number, readonly AttendedWord[]>> {
  screen.progress("reading attention");
  const loading = { dtype: options.dtype, signal: stopSignal };
  const model = await ClipCap.load(device, await modelFolder(options.model), loading);
  const shown = chooseShown(result);
  const ids = shown.map((image) => result.set.ids[image]!);
  const captions = ids.map((id) => ({ embedding: embeddings.get(id)!, tokens: tokens.get(id)! }));
  const words = await attendedWords(model, captions);
  model.close();
  return new Map(shown.map((image, i) => [image, words[i]!]));
}

/** What CLIP makes of texts. */
interface TextVectors {
  /** Of references and captions behind `CLIP_SCORE_PROMPT`. */
  readonly references: Float32Array[][];
  readonly captions: Float32Array[][];
  /** Of the references alone, where --retrieval asks for them. */
  readonly texts: Float32Array[][] | undefined;
}

/** Undefined where the model's CLIP has no text tower. */
async function textVectors(
  { device, options, screen }: Job,
  images: readonly CaptionedImage[],
  captions: readonly (readonly string[])[],
): Promise<TextVectors | undefined> {
  const loading = { dtype: options.dtype, signal: stopSignal };
  const encoder = await ClipTextEncoder.load(device, await modelFolder(options.model), loading).catch((error) => {
    if (options.retrieval || !(error instanceof ClipCapError) || error.code !== "not-found") throw error;
    screen.note(`no CLIPScore: ${error.message}`);
  });
  if (!encoder) return undefined;
  const references = images.map((image) => image.captions);
  const prompts = [...references, ...captions].map((texts) => texts.map((text) => CLIP_SCORE_PROMPT + text));
  const groups = options.retrieval ? [...prompts, ...references] : prompts;
  const all = await encoder.embed(groups.flat(), {
    signal: stopSignal,
    onProgress: (done, total) => screen.progress("texts through CLIP", done, total),
  });
  encoder.close();
  let at = 0;
  const split = groups.map(({ length }) => all.slice(at, (at += length)));
  return {
    references: split.slice(0, images.length),
    captions: split.slice(images.length, prompts.length),
    texts: options.retrieval ? split.slice(prompts.length) : undefined,
  };
}

function decodingOf({ beam }: Options): string {
  return beam === undefined ? "greedy" : `beam ${beam}`;
}

function checkRange(flag: string, value: number, most = Number.POSITIVE_INFINITY): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  const range = most === Number.POSITIVE_INFINITY ? "of at least 1" : `from 1 to ${most}`;
  throw new ClipCapError("bad-usage", `${flag} is ${value}; it must be a whole number ${range}`);
}
