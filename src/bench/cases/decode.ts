import { type BeamRule, beamStep } from "../../kernels/decode/beam.js";
import {
  beamStepRef,
  greedyStepRef,
  logSoftmax,
  pooledStepRef,
  type RowRef,
  topIndices,
} from "../../kernels/decode/decode.ref.js";
import { greedyStep } from "../../kernels/decode/greedy.js";
import { penalise } from "../../kernels/decode/penalise.js";
import { repetitionPenaltyRef } from "../../kernels/decode/penalise.ref.js";
import { chooseSampleVariant, SAMPLE_VARIANTS, type SampleVariant, sampleStep } from "../../kernels/decode/sample.js";
import { sampleStepRef } from "../../kernels/decode/sample.ref.js";
import { createDecodeState, type DecodeState, freeDecodeState, initAncestry } from "../../kernels/decode/state.js";
import { chooseTopVariant, rowTop, TOP_VARIANTS, type TopVariant } from "../../kernels/decode/top.js";
import type { Device } from "../../runtime/device.js";
import type { Program } from "../../runtime/program.js";
import {
  input,
  integers,
  type KernelCase,
  type Recorded,
  squaredError,
  type Values,
  values,
  variantsOf,
} from "./case.js";
import { GPT2 } from "./shapes.js";

const V = GPT2.vocabulary;
const STOP = [13];
const SEED = 1;
const FILTER = { topK: 50, topP: 0.9 };
/** Tokens before the step that is timed, and the sizes of a caption's state. */
const STEP = 4;
const [MAX_TOKENS, CAPACITY] = [67, 77];

/** The choice of the next token, from logits on. */
export function decodeCases(device: Device): KernelCase[] {
  const ofLength = (length: number) =>
    variantsOf(Object.values(TOP_VARIANTS), chooseTopVariant(device, length), topName);
  const [one, eight, all] = [ofLength(1), ofLength(8), ofLength(32)]; // five beams need a list of eight
  const runnable = SAMPLE_VARIANTS.filter(({ filter, draw }) => {
    const fits = Math.max(filter.size, draw) <= device.limits.maxInvocations;
    return fits && (filter.reduce === "shared" || filter.size === device.lanes);
  });
  const samples = variantsOf(runnable, chooseSampleVariant(device), sampleName);
  return [
    ...one.map((t) => topOf(1, 1, t)),
    ...eight.map((t) => topOf(5, 5, t)),
    ...all.map((t) => topOf(5, 32, t)),
    ...one.flatMap((t) => [greedyOf(1, t), greedyOf(16, t)]),
    ...eight.flatMap((t) => (["mean", "length-normalised"] as const).map((rule) => beamOf(5, rule, t))),
    ...samples.map((s) => sampleOf(5, s)),
    penaliseOf(5),
    ancestryOf(5),
  ];
}

interface Named<T> {
  readonly variant: T;
  readonly name: string;
  readonly chosen: boolean;
}

function topName({ threads, groups, merge }: TopVariant): string {
  return `${groups} x ${threads}, ${merge}`;
}

function sampleName({ filter, draw }: SampleVariant): string {
  return `${filter.reduce}${filter.size}, ${draw}`;
}

const logitsOf = (rows: number) => values("logits", rows * V, 8);

function topOf(rows: number, k: number, { variant, name, chosen }: Named<TopVariant>): KernelCase {
  return {
    kernel: "decode.top",
    variant: name,
    shape: `${k} of ${rows} x ${V}`,
    dtype: "f32",
    chosen,
    record: (p) => {
      const logits = logitsOf(rows);
      const top = rowTop(p, input(p, "logits", [rows, V], logits), k, { label: "top", variant });
      const error = ([got]: readonly Values[]) => topError(got as Uint32Array, logits, rows, k);
      return { outputs: [top.tensor], error, bytes: 4 * rows * V };
    },
  };
}

/**
 * The error of what `rowTop` gives for each row: tokens must be those of the reference, the maximum and the sum of the softmax
 * as near as sums in f32 come.
 */
export function topError(out: Uint32Array, logits: Float32Array, rows: number, k: number): number {
  const [tokens, sums] = [
    { got: [] as number[], expected: [] as number[] },
    { got: [] as number[], expected: [] as number[] },
  ];
  const floats = new Float32Array(out.buffer);
  const vocabulary = logits.length / rows;
  for (let r = 0; r < rows; r++) {
    const row = Array.from(logits.subarray(r * vocabulary, (r + 1) * vocabulary));
    const best = topIndices(row, k);
    const at = (r * out.length) / rows;
    tokens.expected.push(...best);
    tokens.got.push(...best.map((_, j) => out[at + 2 * (j + 1) + 1]!));
    sums.expected.push(row[best[0]!]!, -logSoftmax(row)[best[0]!]!);
    sums.got.push(floats[at]!, floats[at + 1]!);
  }
  const equal = tokens.got.every((token, i) => token === tokens.expected[i]);
  return equal ? squaredError(sums.got, sums.expected) : Number.POSITIVE_INFINITY;
}

/** A state in the middle of a caption, with the same history on both sides. */
function midway(p: Program, rows: number, o: { width: number; withPool?: boolean }) {
  const shape = { images: rows / o.width, maxTokens: MAX_TOKENS, capacity: CAPACITY, ...o };
  const state = createDecodeState(p.device, shape);
  const tokens = integers("history", rows * MAX_TOKENS, V);
  const score = values("score", rows).map((v) => -10 + v);
  p.device.write(state.tokens, tokens);
  p.device.write(state.length, new Uint32Array(rows).fill(STEP));
  p.device.write(state.score, score);
  p.device.write(state.stopped, new Uint32Array(rows));
  p.device.write(
    state.ancestry,
    Uint32Array.from({ length: rows * CAPACITY }, (_, i) => Math.floor(i / CAPACITY)),
  );
  if (state.pool) p.device.write(state.pool.length, new Uint32Array(rows));
  const history = Array.from({ length: rows }, (_, r): RowRef => {
    const own = Array.from(tokens.subarray(r * MAX_TOKENS, r * MAX_TOKENS + STEP));
    return { tokens: own, length: STEP, score: score[r]!, stopped: false };
  });
  return { state, history };
}

/** What a step left in the state, against the rows of the reference: histories exactly, scores as numbers. */
function checked(p: Program, state: DecodeState, rows: () => readonly RowRef[], logitBytes: number): Recorded {
  return {
    outputs: [state.tokens, state.length, state.score],
    error: ([tokens, length, score]) => {
      const expected = rows();
      const same = expected.every((row, r) => {
        return row.length === length![r] && row.tokens.every((t, i) => tokens![r * MAX_TOKENS + i] === t);
      });
      const scores = expected.map((row) => row.score);
      return same ? squaredError(score!, scores) : Number.POSITIVE_INFINITY;
    },
    bytes: logitBytes,
    free: () => freeDecodeState(p.device, state),
  };
}

function rowsOf(logits: Float32Array): Float32Array[] {
  return Array.from({ length: logits.length / V }, (_, r) => logits.subarray(r * V, (r + 1) * V));
}

function greedyOf(rows: number, { variant, name, chosen }: Named<TopVariant>): KernelCase {
  return {
    kernel: "decode.greedy",
    variant: name,
    shape: `${rows} x ${V}`,
    dtype: "f32",
    chosen,
    record: (p) => {
      const logits = logitsOf(rows);
      const { state, history } = midway(p, rows, { width: 1 });
      greedyStep(p, input(p, "logits", [rows, V], logits), state, { label: "greedy", step: STEP, stop: STOP, variant });
      const expected = () => rowsOf(logits).map((own, r) => greedyStepRef(history[r]!, own, STOP));
      return checked(p, state, expected, 4 * rows * V);
    },
  };
}

function beamOf(beams: number, rule: BeamRule, { variant, name, chosen }: Named<TopVariant>): KernelCase {
  return {
    kernel: `decode.beam.${rule}`,
    variant: name,
    shape: `${beams} x ${V}`,
    dtype: "f32",
    chosen,
    record: (p) => {
      const logits = logitsOf(beams);
      const { state, history: rows } = midway(p, beams, { width: beams, withPool: rule !== "mean" });
      const o = { label: "beam", step: STEP, position: 10 + STEP, stop: STOP, rule, variant };
      beamStep(p, input(p, "logits", [beams, V], logits), state, o);
      const pool = rows.map(() => undefined);
      const expected = () => {
        const own = rowsOf(logits);
        return rule === "mean" ? beamStepRef(rows, own, STOP).rows : pooledStepRef({ rows, pool }, own, STOP).rows;
      };
      return checked(p, state, expected, 4 * beams * V);
    },
  };
}

function sampleOf(captions: number, { variant, name, chosen }: Named<SampleVariant>): KernelCase {
  return {
    kernel: "decode.sample",
    variant: name,
    shape: `${captions} x ${V}, top ${FILTER.topK}, p ${FILTER.topP}`,
    dtype: "f32",
    chosen,
    record: (p) => {
      const logits = logitsOf(captions);
      const { state, history } = midway(p, captions, { width: captions });
      const o = { label: "sample", step: STEP, stop: STOP, seed: SEED, ...FILTER, variant };
      sampleStep(p, input(p, "logits", [captions, V], logits), state, o);
      const expected = () =>
        rowsOf(logits).map((own, caption) => {
          return sampleStepRef(history[caption]!, own, { ...FILTER, seed: SEED, caption, stop: STOP });
        });
      return checked(p, state, expected, 4 * captions * V);
    },
  };
}

/** In place, again and again: so small a penalty that the logits of the history stay numbers. */
const PENALTY = 1.001;

function penaliseOf(rows: number): KernelCase {
  return {
    kernel: "decode.penalise",
    variant: "only",
    shape: `${rows} x ${V}, ${STEP} tokens`,
    dtype: "f32",
    chosen: true,
    record: (p) => {
      const data = logitsOf(rows);
      const { state, history } = midway(p, rows, { width: 1 });
      const logits = input(p, "logits", [rows, V], data);
      penalise(p, logits, state, { label: "penalise", step: STEP, repetitionPenalty: PENALTY, noRepeatNgram: 3 });
      const error = (got: Values) => {
        const errors = rowsOf(data).map((own, r) => {
          const { tokens } = history[r]!;
          const expected = repetitionPenaltyRef(own, tokens, PENALTY);
          const at = (t: number) => got[r * V + t]!;
          const untouched = own.every((v, t) => tokens.includes(t) || at(t) === v);
          if (!untouched) return Number.POSITIVE_INFINITY;
          return squaredError(
            tokens.map(at),
            tokens.map((t) => expected[t]!),
          );
        });
        return Math.max(...errors);
      };
      return {
        outputs: [logits],
        error: ([got]) => error(got!),
        bytes: 2 * 4 * rows * STEP,
        free: () => freeDecodeState(p.device, state),
      };
    },
  };
}

/** The cache rows of a caption's beginning: the prefix belongs to the first beam. */
function ancestryOf(beams: number): KernelCase {
  const prefix = 10;
  return {
    kernel: "decode.ancestry",
    variant: "only",
    shape: `${beams} x ${CAPACITY}`,
    dtype: "u32",
    chosen: true,
    record: (p) => {
      const { state } = midway(p, beams, { width: beams });
      initAncestry(p, state, { prefix, label: "ancestry" });
      const expected = Array.from({ length: beams * CAPACITY }, (_, i) =>
        i % CAPACITY < prefix ? 0 : Math.floor(i / CAPACITY),
      );
      return {
        outputs: [state.ancestry],
        error: ([got]) => squaredError(got!, expected),
        free: () => freeDecodeState(p.device, state),
      };
    },
  };
}
