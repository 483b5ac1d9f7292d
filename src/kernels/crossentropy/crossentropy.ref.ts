/** losses[i] = -log softmax(logits[i])[targets[i]] of logits [N, V] in f64; 0 where the target is not below V. */
export function crossEntropyRef(
  logits: ArrayLike<number>,
  targets: ArrayLike<number>,
  vocabulary: number,
): Float64Array {
  return Float64Array.from(targets, (target, i) => {
    if (target >= vocabulary) return 0;
    const { highest, sum } = statistics(logits, i * vocabulary, vocabulary);
    return Math.log(sum) + highest - logits[i * vocabulary + target]!;
  });
}

/** dlogits of sum_i weights[i] losses[i]: (softmax(logits[i]) - onehot(targets[i])) weights[i]. */
export function crossEntropyBackwardRef(
  logits: ArrayLike<number>,
  targets: ArrayLike<number>,
  weights: ArrayLike<number>,
  vocabulary: number,
): Float64Array {
  const dlogits = new Float64Array(logits.length);
  for (let i = 0; i < targets.length; i++) {
    if (targets[i]! >= vocabulary || weights[i] === 0) continue;
    const start = i * vocabulary;
    const { highest, sum } = statistics(logits, start, vocabulary);
    for (let v = 0; v < vocabulary; v++) {
      const expected = v === targets[i] ? 1 : 0;
      dlogits[start + v] = (Math.exp(logits[start + v]! - highest) / sum - expected) * weights[i]!;
    }
  }
  return dlogits;
}

function statistics(logits: ArrayLike<number>, start: number, columns: number): { highest: number; sum: number } {
  let highest = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < columns; c++) highest = Math.max(highest, logits[start + c]!);
  let sum = 0;
  for (let c = 0; c < columns; c++) sum += Math.exp(logits[start + c]! - highest);
  return { highest, sum };
}
