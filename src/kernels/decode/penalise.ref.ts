/** Each token of the history once: positive logits divided by the penalty, negative ones multiplied. */
export function repetitionPenaltyRef(logits: ArrayLike<number>, history: readonly number[], penalty: number): number[] {
  const out = Array.from(logits);
  for (const t of new Set(history)) out[t] = out[t]! < 0 ? out[t]! * penalty : out[t]! / penalty;
  return out;
}

/** Tokens that would complete an n-gram which the history already holds, ascending. */
export function bannedByNgramRef(history: readonly number[], n: number): number[] {
  const banned = new Set<number>();
  const tail = history.slice(history.length - (n - 1));
  for (let i = 0; n > 0 && history.length + 1 >= n && i + n <= history.length; i++) {
    if (tail.every((t, k) => history[i + k] === t)) banned.add(history[i + n - 1]!);
  }
  return [...banned].sort((a, b) => a - b);
}
