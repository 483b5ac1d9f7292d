/** Bootstrap over images: how far scores would wander with other photos of the same kind (Koehn 2004 for two systems). */
import { ClipCapError } from "../runtime/errors.js";
import { type BleuCounts, bleuScore } from "./bleu.js";
import type { Evaluation } from "./evaluate.js";
import { listMetrics, METRIC_NAMES, type PerMetric, perMetric } from "./per-metric.js";

/** Ends of the middle 95 % of resamples. */
export type Interval = readonly [low: number, high: number];

export interface BootstrapOptions {
  /** Default 1000. */
  readonly resamples?: number;
  /** A whole number below 2^32. The same seed draws the same images; default 0. */
  readonly seed?: number;
}

/** One metric of two systems on the same images. */
export interface Difference {
  /** Second system minus first. */
  readonly difference: number;
  readonly ci95: Interval;
  /** Two-sided; 1 for equal systems, never below 2 / (resamples + 1). */
  readonly p: number;
}

export const DEFAULT_RESAMPLES = 1000;
/** The ends of the intervals are steady long before; 40,000 images take a second per 1,000. */
export const MAX_RESAMPLES = 10_000;

/** length, referenceLength, guessed and correct 1 to 4, ROUGE-L, CIDEr-D. */
const COLUMNS = 12;
/**
 * 95 % intervals of the corpus scores. Every resample draws as many images as there are, with replacement, and sums their
 * BLEU counts. CIDEr-D keeps the document frequencies of the full set: an image brings the score that it has there.
 */
export function bootstrap(evaluation: Evaluation, options: BootstrapOptions = {}): PerMetric<Interval> {
  const [samples] = resample([evaluation], options);
  return perMetric((metric) => interval(samples![metric]!));
}

/**
 * Paired bootstrap: both systems are scored on the same draws of images.
 * @throws ClipCapError `bad-input` where the evaluations differ in their number of images; their order must agree.
 */
export function comparePaired(
  first: Evaluation,
  second: Evaluation,
  options: BootstrapOptions = {},
): PerMetric<Difference> {
  if (first.perImage.length !== second.perImage.length) {
    throw unpaired(first.perImage.length, second.perImage.length);
  }
  const [a, b] = resample([first, second], options);
  const [corpusA, corpusB] = [listMetrics(first.corpus), listMetrics(second.corpus)];
  return perMetric((metric) => {
    const differences = b![metric]!.map((score, i) => score - a![metric]![i]!);
    return {
      difference: corpusB[metric]! - corpusA[metric]!,
      ci95: interval(differences),
      p: twoSided(differences),
    };
  });
}

/** 95 % interval of the mean of a score that each image has, such as CLIPScore. */
export function bootstrapMean(scores: readonly number[], options: BootstrapOptions = {}): Interval {
  return interval(resampledMeans(scores, options));
}

/**
 * 95 % interval of a share of what images have several of, such as texts: an image brings all of its own.
 * @param parts of each image, and `wholes`, at least 1, of which they are parts
 */
export function bootstrapShare(
  parts: readonly number[],
  wholes: readonly number[],
  options: BootstrapOptions = {},
): Interval {
  return interval(resampledShares(parts, wholes, options));
}

/** Paired bootstrap of such a mean; the scores of both systems are in the same order of images. */
export function compareMeans(
  first: readonly number[],
  second: readonly number[],
  options: BootstrapOptions = {},
): Difference {
  if (first.length !== second.length) throw unpaired(first.length, second.length);
  const each = second.map((score, i) => score - first[i]!);
  const samples = resampledMeans(each, options); // the mean of differences is the difference of means
  return { difference: mean(each), ci95: interval(samples), p: twoSided(samples) };
}

function resampledMeans(scores: readonly number[], options: BootstrapOptions): Float64Array {
  const ones = scores.map(() => 1);
  return resampledShares(scores, ones, options);
}

function resampledShares(parts: readonly number[], wholes: readonly number[], options: BootstrapOptions): Float64Array {
  const shares: number[] = [];
  for (const draws of drawImages(parts.length, options)) {
    let [part, whole] = [0, 0];
    for (const image of draws) {
      part += parts[image]!;
      whole += wholes[image]!;
    }
    shares.push(part / whole);
  }
  return Float64Array.from(shares);
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function unpaired(first: number, second: number): ClipCapError {
  const sizes = `${first} and ${second}`;
  return new ClipCapError("bad-input", `the systems were scored on ${sizes} images; a paired test needs the same ones`);
}

/** Scores of resamples by system and metric; all systems see the same draws. */
function resample(evaluations: readonly Evaluation[], options: BootstrapOptions): Float64Array[][] {
  const images = evaluations[0]!.perImage.length;
  const tables = evaluations.map(statistics);
  const scores = tables.map(() => METRIC_NAMES.map((): number[] => []));
  for (const draws of drawImages(images, options)) {
    tables.forEach((table, system) => {
      const drawn = scoresOf(sumRows(table, draws), images);
      for (const [metric, score] of drawn.entries()) scores[system]![metric]!.push(score);
    });
  }
  return scores.map((system) => system.map((metric) => Float64Array.from(metric)));
}

/** As many images as there are, with replacement, once for each resample; the list is overwritten by the next. */
function* drawImages(images: number, options: BootstrapOptions): Generator<Uint32Array> {
  const { resamples = DEFAULT_RESAMPLES, seed = 0 } = options;
  if (!Number.isInteger(resamples) || resamples < 1 || resamples > MAX_RESAMPLES) {
    throw new ClipCapError(
      "bad-usage",
      `resamples is ${resamples}; it must be a whole number from 1 to ${MAX_RESAMPLES}`,
    );
  }
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new ClipCapError("bad-usage", `seed is ${seed}; it must be a whole number from 0 to ${2 ** 32 - 1}`);
  }
  if (images === 0) throw new ClipCapError("bad-input", "there are no scores to draw from; give at least one");
  const random = uniform(seed);
  const draws = new Uint32Array(images);
  for (let r = 0; r < resamples; r++) {
    for (let i = 0; i < images; i++) draws[i] = Math.floor(random() * images);
    yield draws;
  }
}

/** [images, COLUMNS]: what has to be summed over images to score any set of them. */
function statistics({ perImage, bleuCounts }: Evaluation): Float64Array {
  const table = new Float64Array(perImage.length * COLUMNS);
  perImage.forEach(({ rougeL, ciderD }, i) => {
    const { length, referenceLength, guessed, correct } = bleuCounts[i]!;
    table.set([length, referenceLength, ...guessed, ...correct, rougeL, ciderD], i * COLUMNS);
  });
  return table;
}

function sumRows(table: Float64Array, rows: Uint32Array): Float64Array {
  const sums = new Float64Array(COLUMNS);
  for (const row of rows) {
    for (let column = 0; column < COLUMNS; column++) sums[column]! += table[row * COLUMNS + column]!;
  }
  return sums;
}

function scoresOf(sums: Float64Array, images: number): number[] {
  const counts: BleuCounts = {
    length: sums[0]!,
    referenceLength: sums[1]!,
    guessed: [...sums.subarray(2, 6)],
    correct: [...sums.subarray(6, 10)],
  };
  return [...bleuScore(counts), sums[10]! / images, sums[11]! / images];
}

function interval(samples: Float64Array): Interval {
  const sorted = Float64Array.from(samples).sort();
  return [quantile(sorted, 0.025), quantile(sorted, 0.975)];
}

/** Linear between the two nearest, as NumPy's default. */
function quantile(sorted: Float64Array, q: number): number {
  const position = q * (sorted.length - 1);
  const low = Math.floor(position);
  const below = sorted[low]!;
  return below + (position - low) * ((sorted[low + 1] ?? below) - below);
}

function twoSided(differences: Float64Array): number {
  const up = differences.filter((d) => d >= 0).length;
  const down = differences.filter((d) => d <= 0).length;
  return Math.min(1, (2 * (1 + Math.min(up, down))) / (differences.length + 1));
}

/** Numbers in [0, 1), the same for the same seed: a counter through a hash, which also keeps the counters of seeds apart. */
function uniform(seed: number): () => number {
  let counter = mixed(seed);
  return () => {
    counter = (counter + 0x9e3779b9) | 0;
    return mixed(counter) / 2 ** 32;
  };
}

/** The mixer of MurmurHash3: 32 bits to 32 bits, one to one. */
function mixed(bits: number): number {
  let hash = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
