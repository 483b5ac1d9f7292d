/** CIDEr-D (Vedantam et al. 2015) as coco-caption computes it under the name CIDEr: no stemming, sigma 6, times 10. */
import { type GramCounts, GramIndex, MAX_ORDER, splitWords } from "./grams.js";
import { type CaptionItem, checkItems } from "./item.js";

/** Standard deviation, in words, of the penalty for a difference in length. */
const SIGMA = 6;
const SCALE = 10;

/** A caption as a vector: the weight of an n-gram is how often it occurs here times how rare it is elsewhere. */
interface Vector {
  readonly counts: GramCounts;
  /** By n - 1. */
  readonly norms: readonly number[];
  /** Pairs of neighbouring words: coco-caption's length of a caption. */
  readonly length: number;
}

/** An n-gram's weight where it occurs once. */
type Rarity = (gram: number) => number;

/**
 * CIDEr-D of every image; the corpus's is their mean. How rare an n-gram is, is counted over the references of these very
 * images, so a score depends on the whole set: scores of 193 images and of 5,000 do not compare, and one image alone has 0.
 * @throws ClipCapError `bad-input` for an image without references, or captions that are no texts.
 */
export function ciderD(items: readonly CaptionItem[]): number[] {
  checkItems(items);
  const index = new GramIndex();
  const frequency = documentFrequencies(items, index);
  const rarest = Math.log(items.length);
  const rarities = Float64Array.from(frequency, (images) => rarest - Math.log(Math.max(1, images)));
  const rarity = (gram: number) => rarities[gram] ?? rarest; // candidates may bring n-grams that no reference has
  const vector = (text: string) => toVector(splitWords(text), index, rarity);
  return items.map(({ candidate, references }) => {
    const own = vector(candidate);
    const sum = references.reduce((total, reference) => total + similarity(own, vector(reference), rarity), 0);
    return (SCALE * sum) / references.length;
  });
}

/** In the references of how many images each n-gram occurs, by its number. */
function documentFrequencies(items: readonly CaptionItem[], index: GramIndex): readonly number[] {
  const frequency: number[] = [0];
  const lastImage: number[] = [0]; // counted from 1
  for (const [i, { references }] of items.entries()) {
    for (const reference of references) {
      for (const grams of index.count(splitWords(reference))) {
        for (const gram of grams.keys()) {
          if (lastImage[gram] !== i + 1) frequency[gram] = (frequency[gram] ?? 0) + 1;
          lastImage[gram] = i + 1;
        }
      }
    }
  }
  return frequency;
}

function toVector(words: readonly string[], index: GramIndex, rarity: Rarity): Vector {
  const counts = index.count(words);
  const norms = counts.map((grams) => {
    let squares = 0;
    for (const [gram, count] of grams) squares += (count * rarity(gram)) ** 2;
    return Math.sqrt(squares);
  });
  return { counts, norms, length: Math.max(0, words.length - 1) };
}

/** Mean over n of the cosines, where the candidate gains nothing from repeating what the reference says less often. */
function similarity(candidate: Vector, reference: Vector, rarity: Rarity): number {
  let sum = 0;
  for (let n = 0; n < MAX_ORDER; n++) {
    const theirs = reference.counts[n]!;
    let dot = 0;
    for (const [gram, count] of candidate.counts[n]!) {
      const other = theirs.get(gram) ?? 0;
      if (other > 0) dot += Math.min(count, other) * other * rarity(gram) ** 2;
    }
    const norms = candidate.norms[n]! * reference.norms[n]!;
    sum += norms > 0 ? dot / norms : 0;
  }
  const penalty = Math.exp(-((candidate.length - reference.length) ** 2) / (2 * SIGMA ** 2));
  return (sum * penalty) / MAX_ORDER;
}
