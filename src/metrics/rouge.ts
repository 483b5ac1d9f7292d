/** ROUGE-L (Lin 2004) as coco-caption computes it. */

/** Weight of recall against precision. */
const BETA = 1.2;

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

function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  const row = new Int32Array(b.length + 1);
  for (const word of a) {
    let diagonal = 0; // of the row before
    for (let j = 0; j < b.length; j++) {
      const above = row[j + 1]!;
      row[j + 1] = word === b[j] ? diagonal + 1 : Math.max(above, row[j]!);
      diagonal = above;
    }
  }
  return row[b.length]!;
}
