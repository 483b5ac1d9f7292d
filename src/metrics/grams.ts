/** Longest n-grams that BLEU and CIDEr count. */
export const MAX_ORDER = 4;

/** How often each n-gram occurs in a text, by its number; index n - 1. */
export type GramCounts = readonly ReadonlyMap<number, number>[];

/** What Python's `str.split()` parts words at: \s of JavaScript without U+FEFF, and the separators of ASCII and Latin-1. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: four of those separators are control characters
const WHITE_SPACE = /(?:(?!\uFEFF)\s|[\x1C-\x1F\x85])+/;

/** Words of a tokenised text. */
export function splitWords(text: string): string[] {
  return text.split(WHITE_SPACE).filter((word) => word !== "");
}

/** Numbers n-grams, so that those of 40,000 images are counted by numbers and not by joined texts. */
export class GramIndex {
  readonly #words = new Map<string, number>();
  /** An n-gram's number by that of its first n - 1 words and its last word; 0 is the empty one. */
  readonly #next = new Map<number, number>();

  /** Counts n-grams of 1 to 4 words. */
  count(words: readonly string[]): GramCounts {
    const counts = Array.from({ length: MAX_ORDER }, () => new Map<number, number>());
    const ids = words.map((word) => numberOf(this.#words, word));
    for (let start = 0; start < ids.length; start++) {
      let gram = 0;
      for (let n = 0; n < MAX_ORDER && start + n < ids.length; n++) {
        // 2^26 words times 2^27 n-grams are still exact in a double.
        gram = numberOf(this.#next, gram * 2 ** 26 + ids[start + n]!);
        counts[n]!.set(gram, (counts[n]!.get(gram) ?? 0) + 1);
      }
    }
    return counts;
  }
}

/** The number of a key, from 1 in order of appearance. */
function numberOf<K>(numbers: Map<K, number>, key: K): number {
  const known = numbers.get(key);
  if (known !== undefined) return known;
  numbers.set(key, numbers.size + 1);
  return numbers.size;
}
