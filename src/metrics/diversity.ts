/** What BLEU does not see: whether a system says the same of every photo, and whether it only repeats what it has read. */
import { ClipCapError } from "../runtime/errors.js";
import { splitWords } from "./grams.js";

export interface Diversity {
  /** Different words over all captions. */
  readonly vocabulary: number;
  /** Different captions over captions, in (0, 1]. */
  readonly distinctCaptions: number;
  /** Different n-grams over n-grams of all captions for n = 1 and 2 (Li et al. 2016); 0 where there are none. */
  readonly distinct: readonly [number, number];
}

export interface Lengths {
  /** Words. */
  readonly mean: number;
  /** Of the population. */
  readonly deviation: number;
  readonly shortest: number;
  readonly median: number;
  readonly longest: number;
}

/** What a set of captions can repeat: all its words, pairs of neighbouring words, and captions, in order. */
export interface Things {
  readonly words: readonly string[];
  readonly pairs: readonly string[];
  readonly captions: readonly string[];
}

export function thingsOf(captions: readonly string[]): Things {
  checkCaptions(captions);
  const lists = captions.map(splitWords);
  return {
    words: lists.flat(),
    pairs: lists.flatMap((own) => own.slice(1).map((word, i) => `${own[i]} ${word}`)),
    captions: lists.map((own) => own.join(" ")),
  };
}

/** Variety of a system's captions; texts are tokenised, at least one. It falls with their number: compare equal sets. */
export function diversity(captions: readonly string[]): Diversity {
  const { words, pairs, captions: whole } = thingsOf(captions);
  return {
    vocabulary: new Set(words).size,
    distinctCaptions: distinctShare(whole),
    distinct: [distinctShare(words), distinctShare(pairs)],
  };
}

function distinctShare(things: readonly string[]): number {
  return things.length === 0 ? 0 : new Set(things).size / things.length;
}

/** Share of captions that are in no caption of the training set word for word; both tokenised, at least one candidate. */
export function novelShare(captions: readonly string[], training: Iterable<string>): number {
  checkCaptions(captions);
  return novelty(captions, training).reduce((sum, one) => sum + one, 0) / captions.length;
}

function checkCaptions(captions: readonly string[]): void {
  if (captions.length === 0) throw new ClipCapError("bad-input", "there are no captions; give at least one");
}

/** For each caption 1 where it is in no caption of the training set word for word, else 0. */
export function novelty(captions: readonly string[], training: Iterable<string>): number[] {
  const known = new Set<string>();
  for (const caption of training) known.add(splitWords(caption).join(" "));
  return captions.map((caption) => (known.has(splitWords(caption).join(" ")) ? 0 : 1));
}

/** Lengths of tokenised captions in words; at least one. */
export function lengths(captions: readonly string[]): Lengths {
  checkCaptions(captions);
  const sorted = captions.map((caption) => splitWords(caption).length).sort((a, b) => a - b);
  const mean = sorted.reduce((sum, n) => sum + n, 0) / sorted.length;
  const middle = (sorted.length - 1) / 2;
  return {
    mean,
    deviation: Math.sqrt(sorted.reduce((sum, n) => sum + (n - mean) ** 2, 0) / sorted.length),
    shortest: sorted[0]!,
    median: (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2,
    longest: sorted.at(-1)!,
  };
}
