import type { Tensor } from "../../runtime/tensor.js";
import type { DecodeState } from "./state.js";

/** One decoded caption. */
export interface Decoded {
  /** The tokens that count, the stop token included. */
  readonly tokens: readonly number[];
  /** Sum of their log-probabilities. */
  readonly score: number;
  readonly stopped: boolean;
}

type Values = readonly (Float32Array | Uint32Array)[];

/** What to read back from a run (`Program.run`'s `reads`) for `finalOrder`. */
export function decodeReads({ tokens, length, score, stopped, pool }: DecodeState): readonly Tensor[] {
  return [tokens, length, score, stopped, ...(pool ? [pool.tokens, pool.length, pool.score] : [])];
}

/** The captions of all rows in the order of the rows. `values`: what `decodeReads` gave. */
function decodedRows(state: DecodeState, values: Values): Decoded[] {
  const [tokens, length, score, stopped] = values;
  return Array.from({ length: state.next.rows }, (_, r) => ({
    tokens: cut(tokens!, state, r, length![r]!),
    score: score![r]!,
    stopped: stopped![r] === 1,
  }));
}

/**
 * The captions of every image, best score / length^alpha first, equal ones in the order of their rows. With a pool its
 * finished hypotheses come first and live beams count only where the search was cut off; `width` captions remain.
 */
export function finalOrder(state: DecodeState, values: Values, alpha = 1): Decoded[][] {
  const { images, width, pool } = state;
  const rows = decodedRows(state, values);
  const rank = (d: Decoded) => d.score / Math.max(1, d.tokens.length) ** alpha;
  return Array.from({ length: images }, (_, image) => {
    const live = rows.slice(image * width, (image + 1) * width);
    const finished = pool ? finishedOf(state, values, image) : [];
    const candidates = pool && live[0]!.stopped ? finished : [...finished, ...live];
    return candidates.sort((a, b) => rank(b) - rank(a)).slice(0, width);
  });
}

function finishedOf(state: DecodeState, values: Values, image: number): Decoded[] {
  const [tokens, length, score] = values.slice(4);
  return Array.from({ length: state.width }, (_, i) => image * state.width + i)
    .filter((r) => length![r]! > 0)
    .map((r) => ({ tokens: cut(tokens!, state, r, length![r]!), score: score![r]!, stopped: true }));
}

function cut(tokens: ArrayLike<number>, { maxTokens }: DecodeState, row: number, length: number): number[] {
  return Array.from({ length }, (_, i) => tokens[row * maxTokens + i]!);
}
