import { statSync } from "node:fs";
import { resolve, sep } from "node:path";
import type { Command } from "commander";
import { imageFiles } from "../data/files.js";
import { nearest } from "../data/nearest.js";
import type { EmbeddingCache, EmbeddingEntry } from "../data/node-embedding-cache.js";
import { ClipCapError } from "../runtime/errors.js";
import { writeAtomically } from "../weights/node-source.js";
import { type ModelOptions, withModelOptions } from "./model.js";
import { numeric, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import type { SearchClip } from "./search-clip.js";
import { openSearchIndex } from "./search-index.js";
import type { Hit } from "./search-page.js";
import { UnreadableImages } from "./search-unreadable.js";

interface Options extends ModelOptions {
  readonly like?: string;
  readonly top: number;
  readonly html?: string;
  readonly cache?: string;
}

const MAX_TOP = 1000;
/** Images of one file of the cache: what an interruption can lose is the work of some seconds. */
const SHARD = 256;

const HELP = `
Examples:
  clipcap search "a dog in the snow" holiday/
  clipcap search --like photo.jpg holiday/ "more/*.jpg" --top 3
  clipcap search "two people" holiday/ --html found.html

An image is looked at once and again only when its file has changed, also one that cannot be read, which every search
says again. What CLIP saw in images and read in questions is kept in --cache, one folder for each model. JSON lines have
file and score, the cosine of the two vectors. How well this works depends on CLIP: the shipped one has seen 6,000 photos.`;

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
  const query = options.like === undefined ? { words: args[0]! } : { like: options.like };
  const places = "like" in query ? args : args.slice(1);
  if (query.words?.trim() === "") throw new ClipCapError("bad-usage", "there are no words to look for");
  if (places.length === 0)
    throw new ClipCapError("bad-usage", "give images after the words: files, folders or patterns");
  const screen = new Screen(options);
  screen.progress("looking for images");
  const { files, errors } = await imageFiles(places, process.stdin);
  for (const error of errors) screen.complain(error);
  if (files.length === 0) return;
  // The device is opened for what CLIP has not seen or read yet, and else not at all.
  let clip: Promise<SearchClip> | undefined;
  const openClip = () => {
    clip ??= import("./search-clip.js").then(({ SearchClip }) => SearchClip.open(options, screen));
    return clip;
  };
  try {
    const found = await findImages(query, files, { options, screen, openClip });
    screen.idle();
    await show(query, found, { options, screen });
  } finally {
    screen.idle();
    await clip?.then((opened) => opened.close()).catch(() => {}); // where it failed to open, that is thrown already
  }
}

type Query = { readonly words: string; readonly like?: never } | { readonly like: string; readonly words?: never };

interface Job {
  readonly options: Options;
  readonly screen: Screen;
  readonly openClip: () => Promise<SearchClip>;
}

/** An image as the index knows it. */
interface Picture {
  readonly file: string;
  /** Absolute path. */
  readonly id: string;
  readonly stamp: string;
}

interface Found {
  readonly hits: readonly Hit[];
  /** Images that were compared, and those that could not be read. */
  readonly images: number;
}

async function findImages(query: Query, files: readonly string[], job: Job): Promise<Found> {
  job.screen.progress("reading what is known");
  const index = await openSearchIndex(job.options, job.options.cache);
  // Reading a new question overlaps with reading the images' vectors.
  const asked = query.words === undefined ? undefined : readWords(index.words, query.words, job);
  asked?.catch(() => {}); // thrown where it is waited for
  const images = await index.openImages();
  const identify = pictures();
  const candidates = distinct(files.map(identify));
  const like = query.like === undefined ? undefined : identify(query.like);
  const words = await asked;
  await lookAtUnknown(images, like ? distinct([like, ...candidates]) : candidates, job);
  const wanted = like ? images.get(like.id, like.stamp) : words;
  if (!wanted) return { hits: [], images: candidates.length }; // the image to compare with cannot be read, which has been said
  const shown: string[] = [];
  const rows: number[] = [];
  for (const { file, id, stamp } of candidates) {
    const row = images.row(id, stamp);
    if (row === undefined || id === like?.id) continue;
    shown.push(file);
    rows.push(row);
  }
  const found = nearest(wanted, images.table().vectors, rows, job.options.top);
  return {
    hits: found.map(({ index, cosine }) => ({ file: shown[index]!, score: cosine })),
    images: candidates.length,
  };
}

/** Each picture once, by the first of its names: a folder may be given by several paths. */
function distinct(all: readonly Picture[]): Picture[] {
  const seen = new Set<string>();
  return all.filter(({ id }) => seen.size < seen.add(id).size);
}

/** Adds CLIP's vectors of images that are not in the index as they are now. Those that cannot be read get none. */
async function lookAtUnknown(images: EmbeddingCache, all: readonly Picture[], { openClip, screen }: Job) {
  const unreadable = await UnreadableImages.open(images.folder);
  const unknown = new Map<string, Picture>();
  for (const picture of all) {
    const { file, id, stamp } = picture;
    if (images.row(id, stamp) !== undefined) continue;
    const reason = unreadable.reason(id, stamp);
    if (reason === undefined) unknown.set(file, picture);
    else screen.complain(new ClipCapError("bad-image", file + reason));
  }
  if (unknown.size === 0) return;
  const complain = (error: unknown, file: string) => {
    screen.complain(error);
    // Permissions or a missing file may change without the stamp.
    if (!(error instanceof ClipCapError) || error.code !== "bad-image" || !error.message.startsWith(file)) return;
    const { id, stamp } = unknown.get(file)!;
    unreadable.set(id, { stamp, reason: error.message.slice(file.length) });
  };
  const clip = await openClip();
  let fresh: EmbeddingEntry[] = [];
  try {
    for await (const { file, embedding } of clip.images([...unknown.keys()], complain)) {
      const { id, stamp } = unknown.get(file)!;
      fresh.push({ id, stamp, embedding });
      if (fresh.length < SHARD) continue;
      await images.add(fresh);
      fresh = [];
    }
  } finally {
    await images.add(fresh); // also after Ctrl-C
    await unreadable.save();
  }
  screen.progress("tidying the cache");
  await images.compact();
}

/** The vector of words; a question is read once. */
async function readWords(words: EmbeddingCache, text: string, { openClip }: Job): Promise<Float32Array> {
  const known = words.get(text, "");
  if (known) return known;
  const embedding = await (await openClip()).words(text);
  await words.add([{ id: text, stamp: "", embedding }]);
  await words.compact();
  return embedding;
}

async function show(query: Query, { hits, images }: Found, job: Omit<Job, "openClip">): Promise<void> {
  const { options, screen } = job;
  for (const { file, score } of hits) {
    const rounded = Number(score.toFixed(4));
    screen.print(options.json ? JSON.stringify({ file, score: rounded }) : `${score.toFixed(4)}  ${file}`);
  }
  if (options.html === undefined) return;
  const { searchPage } = await import("./search-page.js");
  const page = await searchPage(query, hits, images);
  await writeAtomically(options.html, (sink) => sink.write(Buffer.from(page)));
  if (!options.quiet && !options.json) screen.print(`Wrote ${options.html}`);
}

/**
 * Gives images their absolute paths, and the size and time of their files as stamps. At once:
 * 100,000 promises take two seconds, these calls 0.2, and `resolve` for each file instead of each folder 0.15 more.
 */
function pictures(): (file: string) => Picture {
  const folders = new Map<string, string>();
  return (file) => {
    const end = file.lastIndexOf(sep) + 1;
    const folder = file.slice(0, end);
    const inside = folders.get(folder) ?? resolve(folder, "x").slice(0, -1);
    folders.set(folder, inside);
    const stamp = stampOf(file);
    const id = inside === folder ? file : inside + file.slice(end);
    return { file, id, stamp };
  };
}

/** "" also for what cannot be looked at, such as FILE/x or a loop of links: reading it says why. */
function stampOf(file: string): string {
  try {
    const info = statSync(file, { throwIfNoEntry: false });
    return info ? `${info.size}-${info.mtimeMs}` : "";
  } catch {
    return "";
  }
}
