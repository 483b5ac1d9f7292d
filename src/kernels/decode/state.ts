import type { Device } from "../../runtime/device.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { MAX_BEAMS } from "./limits.js";
import { countRemaining, startAncestry } from "./state.wgsl.js";

export interface DecodeShape {
  readonly images: number;
  /** Rows per image: beams, captions to sample, or 1. */
  readonly width: number;
  /** Most tokens that are generated. */
  readonly maxTokens: number;
  /** Positions of the key/value cache. */
  readonly capacity: number;
  /** Also allocate the pool of finished hypotheses, which the beam rule `length-normalised` needs. */
  readonly withPool?: boolean;
}

/** Finished hypotheses of beam search, `width` slots per image in no order; length 0 marks an empty slot. */
export interface BeamPool {
  /** u32 [R, maxTokens]; columns from `length` on are undefined. */
  readonly tokens: Tensor;
  /** u32 [R], the stop token included. */
  readonly length: Tensor;
  /** f32 [R]: sum of log-probabilities. */
  readonly score: Tensor;
}

/**
 * What decoding carries from step to step, on the GPU. R = images * width; rows of one image are consecutive.
 * Step 0 starts afresh whatever the tensors hold, so nothing needs clearing between captions.
 */
export interface DecodeState extends DecodeShape {
  /** u32 [R, maxTokens]; after a row has stopped its columns are 0. */
  readonly tokens: Tensor;
  /** u32 [R]: tokens that count, the stop token included. */
  readonly length: Tensor;
  /** f32 [R]: sum of the log-probabilities of the tokens that count. */
  readonly score: Tensor;
  /** u32 [R]: 1 once a stop token was chosen. */
  readonly stopped: Tensor;
  /** u32 [R]: the token to embed in the next step. */
  readonly next: Tensor;
  /** u32 [R, capacity]: the cache row that holds position j of this row's history. */
  readonly ancestry: Tensor;
  /** u32 [1]: images with a row that has not stopped. */
  readonly remaining: Tensor;
  /** u32 [R, 4]: where each beam came from in this step (`pickByMean`, `pickByLength`). */
  readonly moves: Tensor;
  readonly pool?: BeamPool;
}

/**
 * Allocates the state, all of it or nothing. It belongs to the device, so that several programs may share it; see
 * `freeDecodeState`.
 */
export function createDecodeState(device: Device, shape: DecodeShape): DecodeState {
  const { images, width, maxTokens, capacity, withPool } = shape;
  for (const [name, n] of Object.entries({ images, width, maxTokens, capacity })) {
    if (!Number.isInteger(n) || n < 1) throw new RangeError(`decode state: ${name} is ${n}; it must be at least 1`);
  }
  const rows = images * width;
  if (rows > 65_535) throw new RangeError(`decode state: ${rows} rows; at most 65,535 fit in one dispatch`);
  const made: Tensor[] = [];
  const make = (name: string, dims: readonly number[], dtype: "u32" | "f32" = "u32") => {
    try {
      made.push(device.tensor(`decode.${name}`, dims, dtype, { account: "decode" }));
    } catch (error) {
      for (const tensor of made) device.free(tensor);
      throw error;
    }
    return made.at(-1)!;
  };
  return {
    images,
    width,
    maxTokens,
    capacity,
    tokens: make("tokens", [rows, maxTokens]),
    length: make("length", [rows]),
    score: make("score", [rows], "f32"),
    stopped: make("stopped", [rows]),
    next: make("next", [rows]),
    ancestry: make("ancestry", [rows, capacity]),
    remaining: make("remaining", [1]),
    moves: make("moves", [rows, 4]),
    ...(withPool && {
      pool: {
        tokens: make("pool.tokens", [rows, maxTokens]),
        length: make("pool.length", [rows]),
        score: make("pool.score", [rows], "f32"),
      },
    }),
  };
}

export function freeDecodeState(device: Device, s: DecodeState): void {
  const { tokens, length, score, stopped, next, ancestry, remaining, moves, pool } = s;
  const pooled = pool ? [pool.tokens, pool.length, pool.score] : [];
  for (const t of [tokens, length, score, stopped, next, ancestry, remaining, moves, ...pooled]) device.free(t);
}

/**
 * Fills the ancestry before the first step: positions below `prefix` are in the cache row of the image's first row,
 * all others in the row itself. Greedy decoding and sampling need no more; beam search permutes it at every step.
 */
export function initAncestry(
  p: Program,
  state: DecodeState,
  options: { readonly prefix: number | Scalar; readonly label: string },
): void {
  const { ancestry, width, capacity } = state;
  p.dispatch({
    kernel: startAncestry,
    label: options.label,
    tensors: { ancestry },
    uniforms: { width, capacity, prefix: options.prefix },
    workgroups: [Math.ceil(capacity / 64), ancestry.rows, 1],
  });
}

/** Counts the images that still have a live row into `state.remaining`; every step ends with it. */
export function recordRemaining(p: Program, state: DecodeState, label: string): void {
  const { stopped, remaining, images, width } = state;
  p.dispatch({
    kernel: countRemaining,
    label,
    tensors: { stopped, remaining },
    uniforms: { images, width },
    workgroups: [1, 1, 1],
  });
}

/**
 * Rows of the state that share one row of logits. Only the first step may have one row of logits per image: all rows of
 * an image are equal then. @throws RangeError for any other number of rows.
 */
export function rowsPerLogits(logits: Tensor, state: DecodeState, step: number | Scalar, label: string): number {
  const { images, width } = state;
  if (logits.shape.length === 2 && logits.rows === images * width) return 1;
  if (logits.shape.length === 2 && logits.rows === images && step === 0) return width;
  throw new RangeError(
    `${label}: logits [${logits.shape}] for ${images} images of ${width} rows; ` +
      `give [${images * width}, V], or [${images}, V] at step 0`,
  );
}

/** @throws RangeError when the state has too many beams, or the vocabulary fewer than `candidates` tokens. */
export function checkBeams(state: DecodeState, vocab: number, candidates: number, label: string): void {
  if (state.width > MAX_BEAMS) throw new RangeError(`${label}: ${state.width} beams; at most ${MAX_BEAMS}`);
  if (candidates > vocab) {
    throw new RangeError(`${label}: ${state.width} beams need ${candidates} candidates; the vocabulary has ${vocab}`);
  }
}
