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

/**
 * Numbers n-grams from 1 in order of appearance, so that those of 40,000 images are counted by numbers and not by joined
 * texts. An n-gram is found by the number of its first n - 1 words and its last word, in a table with open addressing: a Map
 * of such pairs took several times as long on the 7 million n-grams of a set of COCO's size.
 */
export class GramIndex {
  readonly #words = new Map<string, number>();
  /** Three numbers a slot, since they are read together: first words, last word, and what these make; 0 where it is free. */
  #table = new Int32Array(3 * 256);
  #size = 0;

  /** Counts n-grams of 1 to 4 words. */
  count(words: readonly string[]): GramCounts {
    const counts = Array.from({ length: MAX_ORDER }, () => new Map<number, number>());
    const ids = words.map((word) => this.#wordId(word));
    for (let start = 0; start < ids.length; start++) {
      let gram = 0;
      for (let n = 0; n < MAX_ORDER && start + n < ids.length; n++) {
        gram = this.#gramId(gram, ids[start + n]!);
        counts[n]!.set(gram, (counts[n]!.get(gram) ?? 0) + 1);
      }
    }
    return counts;
  }

  #wordId(word: string): number {
    const known = this.#words.get(word) ?? this.#words.size;
    if (known === this.#words.size) this.#words.set(word, known);
    return known;
  }

  #gramId(parent: number, last: number): number {
    const slot = findSlot(this.#table, parent, last);
    const known = this.#table[slot + 2]!;
    if (known !== 0) return known;
    this.#size += 1;
    this.#table.set([parent, last, this.#size], slot);
    if (2 * 3 * this.#size > this.#table.length) this.#table = enlarged(this.#table);
    return this.#size;
  }
}

/** Where the pair is in the table, or where it belongs. */
function findSlot(table: Int32Array, parent: number, last: number): number {
  const mask = table.length / 3 - 1;
  const hash = Math.imul(parent, 0x9e3779b1) ^ Math.imul(last, 0x85ebca6b);
  for (let at = (hash ^ (hash >>> 15)) & mask; ; at = (at + 1) & mask) {
    const slot = 3 * at;
    if (table[slot + 2] === 0 || (table[slot] === parent && table[slot + 1] === last)) return slot;
  }
}

function enlarged(table: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(4 * table.length);
  for (let slot = 0; slot < table.length; slot += 3) {
    const [parent, last, id] = [table[slot]!, table[slot + 1]!, table[slot + 2]!];
    if (id !== 0) larger.set([parent, last, id], findSlot(larger, parent, last));
  }
  return larger;
}
