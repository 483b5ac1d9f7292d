import { appendRef, logSoftmax, type RowRef } from "./decode.ref.js";

export interface FilterRef {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
}

/** Temperature, then top-k (ties with the k-th stay), then top-p, in f64: probabilities, 0 for dropped tokens. */
export function filterProbabilitiesRef(logits: ArrayLike<number>, filter: FilterRef): number[] {
  const { temperature = 1, topK = logits.length, topP = 1 } = filter;
  const scaled = Array.from(logits, (x) => x / temperature);
  const kth = scaled.toSorted((a, b) => b - a)[Math.min(topK, scaled.length) - 1]!;
  let kept = scaled.map((x) => x >= kth);
  if (topP < 1) {
    const probability = renormalised(scaled, kept);
    const order = scaled.map((_, i) => i).sort((a, b) => scaled[b]! - scaled[a]!);
    let larger = 0; // probability of the tokens with a larger logit
    let within = 0; // of those and the tokens with this logit
    let last = Number.POSITIVE_INFINITY;
    const nucleus = new Set<number>();
    for (const i of order) {
      if (scaled[i] !== last) larger = within;
      last = scaled[i]!;
      within += probability[i]!;
      if (larger < topP) nucleus.add(i);
    }
    kept = kept.map((k, i) => k && nucleus.has(i));
  }
  return renormalised(scaled, kept);
}

function renormalised(scaled: readonly number[], kept: readonly boolean[]): number[] {
  const max = scaled.reduce((a, b) => Math.max(a, b));
  const weights = scaled.map((x, i) => (kept[i] ? Math.exp(x - max) : 0));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((w) => w / sum);
}

/** The random number in [0, 1) of (seed, caption within its image, step): 24 bits of PCG-RXS-M-XS used as a hash. */
export function uniformRef(seed: number, caption: number, step: number): number {
  return (pcg(pcg(pcg(seed) + caption) + step) >>> 8) / 2 ** 24;
}

function pcg(v: number): number {
  const s = (Math.imul(v, 747796405) + 2891336453) >>> 0;
  const w = Math.imul((s >>> ((s >>> 28) + 4)) ^ s, 277803737) >>> 0;
  return ((w >>> 22) ^ w) >>> 0;
}

/** The token at which the cumulative probability, in the order of ids, passes `uniform`; and how close that was. */
function drawRef(probability: readonly number[], uniform: number): { token: number; margin: number } {
  let before = 0;
  let margin = Number.POSITIVE_INFINITY;
  let token = -1;
  for (const [i, p] of probability.entries()) {
    if (p === 0) continue;
    if (token < 0 && uniform < before + p) token = i;
    before += p;
    margin = Math.min(margin, Math.abs(uniform - before));
  }
  return { token, margin };
}

/** Appends the drawn token with the log-probability of the unfiltered distribution at temperature 1. */
export function sampleStepRef(
  row: RowRef,
  logits: ArrayLike<number>,
  filter: FilterRef & { readonly seed: number; readonly caption: number; readonly stop: readonly number[] },
): RowRef & { readonly margin: number } {
  const uniform = uniformRef(filter.seed, filter.caption, row.tokens.length);
  const { token, margin } = drawRef(filterProbabilitiesRef(logits, filter), uniform);
  return { ...appendRef(row, token, logSoftmax(logits)[token]!, filter.stop), margin };
}
