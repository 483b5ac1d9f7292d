/** CIDEr-D (Vedantam et al. 2015) as coco-caption computes it under the name CIDEr: no stemming, sigma 6, times 10. */
import { type GramCounts, GramIndex, MAX_ORDER, splitWords } from "./grams.js";
import type { CaptionItem } from "./item.js";

/** Standard deviation, in words, of the penalty for a difference in length. */
const SIGMA = 6;
const SCALE = 10;

/** A caption's n-grams weighted by how often they occur here and how rarely elsewhere; index n - 1. */
interface Vector {
  readonly weights: readonly ReadonlyMap<number, number>[];
  readonly norms: readonly number[];
  /** Pairs of neighbouring words: coco-caption's length of a caption. */
  readonly length: number;
}

/**
 * CIDEr-D of every image; the corpus's is their mean. How rare an n-gram is, is counted over the references of these very
 * images, so a score depends on the whole set: scores of 193 images and of 5,000 do not compare, and one image alone has 0.
 */
export function ciderD(items: readonly CaptionItem[]): number[] {
  const index = new GramIndex();
  const frequency = documentFrequencies(items, index);
  const logImages = Math.log(items.length);
  const rarity = (gram: number) => logImages - Math.log(Math.max(1, frequency.get(gram) ?? 0));
  const vector = (text: string) => weigh(splitWords(text), index, rarity);
  return items.map(({ candidate, references }) => {
    const own = vector(candidate);
    const sum = references.reduce((total, reference) => total + similarity(own, vector(reference)), 0);
    return (SCALE * sum) / references.length;
  });
}

/** In the references of how many images each n-gram occurs. */
function documentFrequencies(items: readonly CaptionItem[], index: GramIndex): ReadonlyMap<number, number> {
  const frequency = new Map<number, number>();
  for (const { references } of items) {
    const seen = new Set<number>();
    for (const reference of references) {
      for (const grams of index.count(splitWords(reference))) for (const gram of grams.keys()) seen.add(gram);
    }
    for (const gram of seen) frequency.set(gram, (frequency.get(gram) ?? 0) + 1);
  }
  return frequency;
}

function weigh(words: readonly string[], index: GramIndex, rarity: (gram: number) => number): Vector {
  const counts: GramCounts = index.count(words);
  const weights = counts.map((grams) => new Map(Array.from(grams, ([gram, count]) => [gram, count * rarity(gram)])));
  const norms = weights.map((grams) => {
    let squares = 0;
    for (const weight of grams.values()) squares += weight ** 2;
    return Math.sqrt(squares);
  });
  return { weights, norms, length: Math.max(0, words.length - 1) };
}

/** Mean over n of the cosines, where the candidate gains nothing from repeating what the reference says less often. */
function similarity(candidate: Vector, reference: Vector): number {
  let sum = 0;
  for (let n = 0; n < MAX_ORDER; n++) {
    const theirs = reference.weights[n]!;
    let dot = 0;
    for (const [gram, weight] of candidate.weights[n]!) {
      const other = theirs.get(gram) ?? 0;
      dot += Math.min(weight, other) * other;
    }
    const norms = candidate.norms[n]! * reference.norms[n]!;
    sum += norms > 0 ? dot / norms : dot;
  }
  const penalty = Math.exp(-((candidate.length - reference.length) ** 2) / (2 * SIGMA ** 2));
  return (sum * penalty) / MAX_ORDER;
}
