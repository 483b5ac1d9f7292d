import { statSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { imageFiles } from "../data/files.js";
import { nearest } from "../data/nearest.js";
import { EmbeddingCache, type EmbeddingEntry } from "../data/node-embedding-cache.js";
import { ClipTextEncoder } from "../models/clip-text-encoder.js";
import { ClipCap } from "../models/clipcap.js";
import { modelFolder } from "../node/model.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { subfolder } from "../weights/folder.js";
import { openClip, readManifest } from "../weights/model-files.js";
import { clipDigest } from "../weights/node-digest.js";
import { writeAtomically } from "../weights/node-source.js";
import { chooseDevice } from "./device.js";
import { imageBatches } from "./images.js";
import { type ModelOptions, withModelOptions } from "./model.js";
import { numeric, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { type Hit, searchPage } from "./search-page.js";
import { stopSignal } from "./stop.js";

interface Options extends ModelOptions {
  readonly like?: string;
  readonly top: number;
  readonly html?: string;
  readonly cache?: string;
}

const MAX_TOP = 1000;
/** Images at once, as in `clipcap eval`. */
const BATCH = 16;
/** Images of one file of the cache: what an interruption can lose is the work of some seconds. */
const SHARD = 256;

const HELP = `
Examples:
  clipcap search "a dog in the snow" holiday/
  clipcap search --like photo.jpg holiday/ "more/*.jpg" --top 3
  clipcap search "two people" holiday/ --html found.html

An image is looked at once and again only when its file has changed; what CLIP saw is kept in --cache, one folder for each
model. JSON lines have file and score, the cosine of the two vectors. How well this works depends on CLIP: the shipped
one has seen 6,000 photos.`;

export function addSearch(program: Command): void {
  const command = program
    .command("search")
    .summary("images that fit some words, or look like another image")
    .description("Ranks images by how well CLIP finds that they fit words, or another image.")
    .argument("<words-and-images...>", "what to look for (not with --like), then files, folders, patterns, or -")
    .option("--like <image>", "look for images like this one")
    .option("--top <n>", "how many to show", numeric("--top"), 10)
    .option("--html <file>", "write a page that shows them")
    .option("--cache <dir>", "where CLIP's vectors are kept (default: ~/.cache/clipcap-webgpu/search)")
    .addHelpText("after", HELP)
    .action(search);
  withCommonOptions(withModelOptions(command));
}

async function search(args: readonly string[], options: Options): Promise<void> {
  if (!Number.isInteger(options.top) || options.top < 1 || options.top > MAX_TOP) {
    throw new ClipCapError("bad-usage", `--top is ${options.top}; it must be a whole number from 1 to ${MAX_TOP}`);
  }
  const [words, places] = options.like === undefined ? [args[0]!, args.slice(1)] : [undefined, args];
  if (words?.trim() === "") throw new ClipCapError("bad-usage", "there are no words to look for");
  if (places.length === 0)
    throw new ClipCapError("bad-usage", "give images after the words: files, folders or patterns");
  const screen = new Screen(options);
  screen.progress("looking for images");
  const { files, errors } = await imageFiles(places, process.stdin);
  for (const error of errors) screen.complain(error);
  if (files.length === 0) return;
  const device = await chooseDevice(options.device);
  try {
    const query = options.like === undefined ? { words: words! } : { like: options.like };
    const hits = await findImages(query, files, { device, options, screen });
    screen.idle();
    for (const { file, score } of hits) {
      const rounded = Number(score.toFixed(4));
      screen.print(options.json ? JSON.stringify({ file, score: rounded }) : `${score.toFixed(4)}  ${file}`);
    }
    if (options.html !== undefined) {
      const page = await searchPage(query, hits, files.length);
      await writeAtomically(options.html, (sink) => sink.write(Buffer.from(page)));
      if (!options.quiet && !options.json) screen.print(`Wrote ${options.html}`);
    }
  } finally {
    screen.idle();
    device.close();
  }
}

type Query = { readonly words: string } | { readonly like: string };

interface Job {
  readonly device: Device;
  readonly options: Options;
  readonly screen: Screen;
}

async function findImages(query: Query, files: readonly string[], job: Job): Promise<Hit[]> {
  const { device, options, screen } = job;
  const loading = { dtype: options.dtype, signal: stopSignal };
  const like = "like" in query ? [query.like] : [];
  const known = await embeddingsOf([...like, ...files], job);
  let wanted = known.get(like[0] ?? "");
  if ("words" in query) {
    screen.progress("reading the words");
    const encoder = await ClipTextEncoder.load(device, await modelFolder(options.model), loading);
    [wanted] = await encoder.embed([query.words], { signal: stopSignal });
    encoder.close();
  }
  if (!wanted) return []; // the image to compare with cannot be read, which has been said
  const itself = like.map((path) => resolve(path))[0];
  const candidates = files.filter((file) => known.has(file) && resolve(file) !== itself);
  const vectors = candidates.map((file) => known.get(file)!);
  return nearest(wanted, vectors, options.top).map(({ index, cosine }) => ({
    file: candidates[index]!,
    score: cosine,
  }));
}

/** CLIP's vectors of images, from the cache where they are in it as they are now. Those that cannot be read have none. */
async function embeddingsOf(files: readonly string[], job: Job): Promise<ReadonlyMap<string, Float32Array>> {
  const { options, screen } = job;
  const cache = await openCache(options);
  const known = new Map<string, Float32Array>();
  const stamps = new Map(files.map((file) => [file, stampOf(file)]));
  for (const [file, stamp] of stamps) {
    const vector = cache.get(resolve(file), stamp);
    if (vector) known.set(file, vector);
  }
  const unknown = [...stamps.keys()].filter((file) => !known.has(file));
  if (unknown.length === 0) return known;
  let fresh: EmbeddingEntry[] = [];
  try {
    for await (const { file, embedding } of embedded(unknown, job)) {
      known.set(file, embedding);
      fresh.push({ id: resolve(file), stamp: stamps.get(file)!, embedding });
      if (fresh.length < SHARD) continue;
      await cache.add(fresh);
      fresh = [];
    }
  } finally {
    await cache.add(fresh); // also after Ctrl-C
  }
  screen.progress("tidying the cache");
  await cache.compact();
  return known;
}

async function* embedded(files: readonly string[], { device, options, screen }: Job) {
  screen.progress(`loading ${options.model}`);
  const folder = await modelFolder(options.model);
  const model = await ClipCap.load(device, folder, { dtype: options.dtype, signal: stopSignal });
  const complain = (error: unknown) => screen.complain(error);
  let done = 0;
  screen.progress("looking at images", 0, files.length);
  for await (const batch of imageBatches(files, BATCH, Promise.resolve(model.preprocessing), {}, complain)) {
    const vectors = await model.embed(batch.images, { batch: BATCH, signal: stopSignal });
    for (const [i, embedding] of vectors.entries()) yield { file: batch.files[i]!, embedding };
    done += vectors.length;
    screen.progress("looking at images", done, files.length);
  }
  model.close();
}

/** The cache of the model's CLIP: other weights, or weights kept otherwise, give other vectors. */
async function openCache({ model, dtype, cache }: Options): Promise<EmbeddingCache> {
  const folder = await modelFolder(model);
  const digest = await clipDigest(folder);
  const clip = await openClip(subfolder(folder, (await readManifest(folder)).clip));
  await folder.close();
  const fingerprint = `${digest}-${dtype}`;
  const root = cache ?? join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "clipcap-webgpu", "search");
  const width = clip.config.vision.projection;
  return EmbeddingCache.open(join(root, `${digest.slice(0, 16)}-${dtype}`), { fingerprint, width });
}

/** Size and time of a file, "" where there is none. At once: 100,000 promises take two seconds, these calls 0.3. */
function stampOf(file: string): string {
  const info = statSync(file, { throwIfNoEntry: false });
  return info === undefined ? "" : `${info.size}-${info.mtimeMs}`;
}
