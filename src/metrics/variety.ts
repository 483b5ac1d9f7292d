/** Variety of a system's captions as named numbers, each with its interval, and beside another system's. */
import {
  type BootstrapOptions,
  bootstrapMean,
  compareMeans,
  type Difference,
  type Interval,
  mean,
} from "./bootstrap.js";
import { novelty, thingsOf } from "./diversity.js";
import { splitWords } from "./grams.js";

/** Each is one number of a set of captions; `novel` only where the captions of a training set are known. */
export interface Variety<T> {
  /** Different words over all captions. */
  readonly vocabulary: T;
  /** Different captions over captions. */
  readonly distinctCaptions: T;
  /** Different words over words. */
  readonly distinct1: T;
  /** Different pairs of neighbouring words over pairs. */
  readonly distinct2: T;
  /** Captions that are no caption of the training set over captions. */
  readonly novel?: T;
  /** Words a caption, the mean. */
  readonly words: T;
}

/** A number that counts different things, and its standard deviation over sets of this size. */
interface Estimate {
  readonly value: number;
  readonly deviation: number;
  /** What it cannot exceed. */
  readonly most: number;
}

/** What the variety of a system's captions is told from; made once by `describeVariety`. */
export interface DescribedVariety {
  readonly counted: Pick<Variety<Estimate>, Counted>;
  /** By image. */
  readonly words: readonly number[];
  /** By image: 1 where the caption is new, else 0. */
  readonly novel: readonly number[] | undefined;
}

type Counted = "vocabulary" | "distinctCaptions" | "distinct1" | "distinct2";

/** Ends of the middle 95 % of a normal distribution, in standard deviations. */
const Z95 = 1.959964;

/** @param captions tokenised, at least one, as are those of the training set, where there is one */
export function describeVariety(captions: readonly string[], training?: Iterable<string>): DescribedVariety {
  const { words, pairs, captions: whole } = thingsOf(captions);
  const vocabulary = differentThings(words);
  const share = ({ value, deviation, most }: Estimate): Estimate => {
    const all = Math.max(1, most);
    return { value: value / all, deviation: deviation / all, most: 1 };
  };
  return {
    counted: {
      vocabulary: { ...vocabulary, most: Number.POSITIVE_INFINITY },
      distinctCaptions: share(differentThings(whole)),
      distinct1: share(vocabulary),
      distinct2: share(differentThings(pairs)),
    },
    words: captions.map((caption) => splitWords(caption).length),
    novel: training && novelty(captions, training),
  };
}

/** The numbers themselves. */
export function variety({ counted, words, novel }: DescribedVariety): Variety<number> {
  return { ...eachCount((name) => counted[name].value), ...(novel && { novel: mean(novel) }), words: mean(words) };
}

/**
 * 95 % intervals over sets of as many images. Those of `novel` and `words` come from the bootstrap. Different things cannot be
 * resampled: a caption drawn twice would count as one that the system repeats. Their deviation is that of drawing from the
 * captions' own distribution with what they have not shown yet; see `differentThings`.
 */
export function varietyIntervals(
  { counted, words, novel }: DescribedVariety,
  options: BootstrapOptions = {},
): Variety<Interval> {
  return {
    ...eachCount((name): Interval => {
      const { value, deviation, most } = counted[name];
      return [Math.max(0, value - Z95 * deviation), Math.min(most, value + Z95 * deviation)];
    }),
    ...(novel && { novel: bootstrapMean(novel, options) }),
    words: bootstrapMean(words, options),
  };
}

/**
 * The second system minus the first, both in the same order of images. `novel` and `words` are paired. Counts of different
 * things are told apart by the deviations of both systems, as if they saw other images: too careful where they say like things
 * of the same image, too bold for pairs of words, which overlap (13 of 100 like systems had p < 0.05).
 * @throws ClipCapError `bad-input` where their numbers of captions differ.
 */
export function compareVariety(
  first: DescribedVariety,
  second: DescribedVariety,
  options: BootstrapOptions = {},
): Variety<Difference> {
  const words = compareMeans(first.words, second.words, options);
  return {
    ...eachCount((name): Difference => {
      const [a, b] = [first.counted[name], second.counted[name]];
      const difference = b.value - a.value;
      const deviation = Math.hypot(a.deviation, b.deviation);
      const p = difference === 0 ? 1 : twoSidedNormal(difference / deviation);
      return { difference, ci95: [difference - Z95 * deviation, difference + Z95 * deviation], p };
    }),
    ...(first.novel && second.novel && { novel: compareMeans(first.novel, second.novel, options) }),
    words,
  };
}

function eachCount<T>(of: (name: Counted) => T): Record<Counted, T> {
  return {
    vocabulary: of("vocabulary"),
    distinctCaptions: of("distinctCaptions"),
    distinct1: of("distinct1"),
    distinct2: of("distinct2"),
  };
}

/**
 * Counts different things and estimates the variance of that count: with things i drawn n times with probabilities p_i it is
 * sum q_i (1 - q_i) - n (sum p_i q_i)^2, where q_i = (1 - p_i)^n is the chance of not being drawn. The p_i are those of Chao
 * et al. 2014 (Ecological Monographs 84, appendix G): the unseen things' number and share follow from how many were seen once
 * and twice, and the seen ones give that share away, the rare ones most.
 */
function differentThings(things: readonly string[]): Estimate {
  const counts = new Map<string, number>();
  for (const thing of things) counts.set(thing, (counts.get(thing) ?? 0) + 1);
  const n = things.length;
  if (n === 0) return { value: 0, deviation: 0, most: 0 };
  const [once, twice] = [1, 2].map((k) => [...counts.values()].filter((count) => count === k).length) as [
    number,
    number,
  ];
  const unseen = (((n - 1) / n) * (twice > 0 ? once ** 2 / twice : once * (once - 1))) / 2;
  const missing = unseen > 0 ? (once / n) * ((n * unseen) / (n * unseen + once)) : 0;
  const shares = [...counts.values()].map((count) => ({ share: count / n, absent: (1 - count / n) ** n }));
  const given = shares.reduce((sum, { share, absent }) => sum + share * absent, 0);
  const rate = given > 0 ? missing / given : 0;
  let [spread, draws] = [0, 0];
  const add = (p: number, times: number) => {
    const q = (1 - p) ** n;
    spread += times * q * (1 - q);
    draws += times * p * q;
  };
  for (const { share, absent } of shares) add(share * Math.max(0, 1 - rate * absent), 1);
  if (unseen > 0) add(missing / unseen, unseen);
  return { value: counts.size, deviation: Math.sqrt(Math.max(0, spread - n * draws ** 2)), most: n };
}

/** How often a standard normal number is farther from 0 (Abramowitz and Stegun 7.1.26; within 2e-7). */
function twoSidedNormal(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return series * Math.exp(-x * x);
}
