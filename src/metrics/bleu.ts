/** BLEU (Papineni et al. 2002) by the scorer of coco-caption: closest reference length, no smoothing but two epsilons. */
import { type GramCounts, GramIndex, MAX_ORDER, splitWords } from "./grams.js";

/** What a caption adds to corpus BLEU; index n - 1 where there are four numbers. */
export interface BleuCounts {
  /** Words of the candidate. */
  readonly length: number;
  /** Words of the reference whose length is closest, of two such the shorter. */
  readonly referenceLength: number;
  /** n-grams of the candidate. */
  readonly guessed: readonly number[];
  /** Those that a reference has, each counted at most as often as in the reference that has it most often. */
  readonly correct: readonly number[];
}

/** BLEU-1 to BLEU-4. */
export type Bleu = readonly [number, number, number, number];

/** Counts of one image; texts are tokenised, at least one reference. */
export function bleuCounts(candidate: string, references: readonly string[]): BleuCounts {
  const index = new GramIndex();
  const words = splitWords(candidate);
  const others = references.map(splitWords);
  const counts = index.count(words);
  const most = others.map((other) => index.count(other));
  return {
    length: words.length,
    referenceLength: closest(
      words.length,
      others.map((other) => other.length),
    ),
    guessed: counts.map((_, n) => Math.max(0, words.length - n)),
    correct: counts.map((grams, n) =>
      clippedMatches(
        grams,
        most.map((reference) => reference[n]!),
      ),
    ),
  };
}

function closest(length: number, candidates: readonly number[]): number {
  return candidates.reduce((best, other) => {
    const nearer = Math.abs(other - length) - Math.abs(best - length);
    return nearer < 0 || (nearer === 0 && other < best) ? other : best;
  });
}

function clippedMatches(grams: GramCounts[number], references: readonly GramCounts[number][]): number {
  let matches = 0;
  for (const [gram, count] of grams) {
    const most = references.reduce((max, reference) => Math.max(max, reference.get(gram) ?? 0), 0);
    matches += Math.min(count, most);
  }
  return matches;
}

/** BLEU of a corpus, of which the counts are sums, or of one caption. */
export function bleuScore({ length, referenceLength, guessed, correct }: BleuCounts): Bleu {
  const ratio = (length + 1e-15) / (referenceLength + 1e-9);
  const brevity = ratio < 1 ? Math.exp(1 - 1 / ratio) : 1;
  let product = 1;
  const scores = Array.from({ length: MAX_ORDER }, (_, n) => {
    product *= (correct[n]! + 1e-15) / (guessed[n]! + 1e-9);
    return product ** (1 / (n + 1)) * brevity;
  });
  return scores as unknown as Bleu;
}

/** Sums of counts; of none, zeros. */
export function sumBleuCounts(all: Iterable<BleuCounts>): BleuCounts {
  const sum = { length: 0, referenceLength: 0, guessed: [0, 0, 0, 0], correct: [0, 0, 0, 0] };
  for (const counts of all) {
    sum.length += counts.length;
    sum.referenceLength += counts.referenceLength;
    for (let n = 0; n < MAX_ORDER; n++) {
      sum.guessed[n]! += counts.guessed[n]!;
      sum.correct[n]! += counts.correct[n]!;
    }
  }
  return sum;
}
