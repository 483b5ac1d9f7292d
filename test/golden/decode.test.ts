import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { beamStep } from "../../src/kernels/decode/beam.js";
import { beamStepRef, greedyStepRef } from "../../src/kernels/decode/decode.ref.js";
import { greedyStep } from "../../src/kernels/decode/greedy.js";
import { BANNED } from "../../src/kernels/decode/limits.js";
import { bannedByNgramRef, repetitionPenaltyRef } from "../../src/kernels/decode/penalise.ref.js";
import { decodeReads, finalOrder } from "../../src/kernels/decode/results.js";
import { filterProbabilities } from "../../src/kernels/decode/sample.js";
import { filterProbabilitiesRef } from "../../src/kernels/decode/sample.ref.js";
import { freeDecodeState } from "../../src/kernels/decode/state.js";
import type { Device } from "../../src/runtime/device.js";
import type { TensorFile } from "../../src/weights/tensor-file.js";
import { goldenJson, goldenTensors, readI32 } from "../goldens.js";
import { emptyRows, penalisedOnGpu, readAll, Scripted, tableRow } from "../gpu/decode-steps.js";
import { nmse, runOp, testDevice, upload } from "../gpu/harness.js";

interface BeamCase {
  readonly name: string;
  readonly beam: number;
  readonly steps: number;
  readonly temperature: number;
  readonly stop: readonly number[];
  readonly vocab: number;
  readonly trace: readonly {
    readonly tokens: readonly (readonly number[])[];
    readonly score: readonly number[];
    readonly length: readonly number[];
    readonly stopped: readonly boolean[];
  }[];
  readonly sequences: readonly (readonly number[])[];
  readonly mean_logprob: readonly number[];
  readonly stopped: readonly boolean[];
}

interface GreedyCase {
  readonly name: string;
  readonly steps: number;
  readonly stop: readonly number[];
  readonly tokens: readonly number[];
  readonly logprob: readonly number[];
}

interface FilterCase {
  /** Name of the row of logits. */
  readonly logits: string;
  readonly key: string;
  readonly temperature: number;
  readonly top_k: number | null;
  readonly top_p: number | null;
}

interface Golden {
  readonly filters: readonly FilterCase[];
  readonly repetition_penalty: readonly {
    readonly key: string;
    readonly history: readonly number[];
    readonly penalty: number;
  }[];
  readonly no_repeat_ngram: readonly {
    readonly n: number;
    readonly history: readonly number[];
    readonly banned: readonly number[];
  }[];
  readonly beam: readonly BeamCase[];
  readonly greedy: readonly GreedyCase[];
}

const golden = goldenJson<Golden>("decode.json");
let tensors: TensorFile;
let device: Device;
beforeAll(async () => {
  tensors = await goldenTensors("decode.safetensors");
  device = await testDevice();
});
afterAll(() => device?.close());

test("the set holds cases of every kind", () => {
  expect(golden.beam.length).toBeGreaterThanOrEqual(11);
  expect(golden.greedy.length).toBeGreaterThanOrEqual(2);
  expect(golden.filters.length).toBeGreaterThanOrEqual(46);
  expect(golden.repetition_penalty.length).toBeGreaterThanOrEqual(6);
  expect(golden.no_repeat_ngram.length).toBeGreaterThanOrEqual(11);
});

describe.each(golden.beam.map((c) => [c.name, c] as const))("beam search %s", (name, c) => {
  test("every step, the sequences and their mean log-probabilities", async () => {
    const table = await tensors.readF32(`beam/${name}/table`);
    const shape = { images: 1, width: c.beam, maxTokens: c.steps, capacity: c.steps, vocab: c.vocab };
    const script = await Scripted.create(device, shape, (p, logits, state, step, position) =>
      beamStep(p, logits, state, { label: "beam", step, position, ...c, rule: "mean" }),
    );
    let tokens: readonly (readonly number[])[] = Array.from({ length: c.beam }, () => []);
    for (const [step, want] of c.trace.entries()) {
      const got = await script.step(
        tokens.map((t) => tableRow(table, c.vocab, t)),
        { position: step },
      );
      tokens = got.rows.map((r) => r.tokens);
      expect(tokens).toEqual(want.tokens);
      expect(got.rows.map((r) => r.length)).toEqual(want.length);
      expect(got.rows.map((r) => r.stopped)).toEqual(want.stopped);
      want.score.forEach((score, b) => {
        expect(got.rows[b]!.score).toBeCloseTo(score, 4);
      });
      expect(got.remaining).toBe(want.stopped.every((x) => x) ? 0 : 1);
    }
    const { state } = script;
    const final = async () => finalOrder(state, await readAll(device, decodeReads(state)))[0]!;
    const captions = await final();
    expect(captions.map((d) => d.tokens)).toEqual(c.sequences);
    expect(captions.map((d) => d.stopped)).toEqual(c.stopped);
    captions.forEach((d, i) => {
      expect(d.score / d.tokens.length).toBeCloseTo(c.mean_logprob[i]!, 5);
    });
    if (captions.every((d) => d.stopped)) {
      // A batch goes on until its last image has ended: the result of this one stays to the bit.
      await script.step(
        tokens.map((t) => tableRow(table, c.vocab, t)),
        { position: c.trace.length },
      );
      expect(await final()).toEqual(captions);
    }
    script.destroy();
    freeDecodeState(device, state);
  });

  test("the reference agrees", async () => {
    const table = await tensors.readF32(`beam/${name}/table`);
    let rows = emptyRows(c.beam);
    for (const want of c.trace) {
      const logits = rows.map((r) => tableRow(table, c.vocab, r.tokens));
      rows = [...beamStepRef(rows, logits, c.stop, c.temperature).rows];
      expect(rows.map((r) => r.tokens)).toEqual(want.tokens);
      rows.forEach((r, b) => {
        expect(r.score).toBeCloseTo(want.score[b]!, 10);
      });
    }
  });
});

test.each(golden.greedy.map((c) => [c.name, c] as const))("greedy %s", async (name, c) => {
  const table = await tensors.readF32(`greedy/${name}/table`);
  const script = await Scripted.create(
    device,
    { images: 1, width: 1, maxTokens: c.steps, capacity: 1, vocab: 23 },
    (p, logits, state, step) => greedyStep(p, logits, state, { label: "greedy", step, stop: c.stop }),
  );
  let [row] = emptyRows(1);
  let score = 0;
  for (const [step, token] of c.tokens.entries()) {
    const logits = tableRow(table, 23, c.tokens.slice(0, step));
    row = greedyStepRef(row!, logits, c.stop);
    const [got] = (await script.step([logits])).rows;
    score += c.logprob[step]!;
    expect([row.tokens[step], got!.tokens[step]]).toEqual([token, token]);
    expect(row.score).toBeCloseTo(score, 10);
    expect(got!.score).toBeCloseTo(score, 5);
    expect(got!.stopped).toBe(c.stop.includes(token));
  }
  script.destroy();
  freeDecodeState(device, script.state);
});

test.each(golden.filters.map((c) => [c.key, c] as const))("%s", async (key, c) => {
  const logits = await tensors.readF32(`filter/${c.logits}/logits`);
  const filter = { temperature: c.temperature, topK: c.top_k ?? undefined, topP: c.top_p ?? undefined };
  const [got] = await runOp(device, (p) =>
    filterProbabilities(p, upload(p, "logits", [1, logits.length], logits), { label: "filter", ...filter }),
  );
  const want = await tensors.readF32(`${key}/prob`);
  const kept = Array.from(await readI32(tensors, `${key}/kept`));
  const ref = filterProbabilitiesRef(logits, filter);
  const positive = (values: ArrayLike<number>) => Array.from(values).flatMap((x, i) => (x > 0 ? [i] : []));
  expect(positive(ref)).toEqual(kept);
  expect(positive(got!)).toEqual(kept);
  expect(nmse(ref, want)).toBeLessThan(1e-13); // the golden is rounded to f32
  expect(nmse(got!, want)).toBeLessThan(1e-9);
});

test.each(golden.repetition_penalty.map((c) => [c.key, c] as const))("%s", async (key, { history, penalty }) => {
  const logits = await tensors.readF32("penalty/logits");
  const want = await tensors.readF32(key);
  expect(nmse(repetitionPenaltyRef(logits, history, penalty), want)).toBeLessThan(1e-13);
  const options = { step: history.length, repetitionPenalty: penalty };
  expect(nmse(await penalisedOnGpu(device, logits, [history], options), want)).toBeLessThan(1e-12);
});

test.each(golden.no_repeat_ngram.map((c) => [`${c.n} of ${c.history}`, c] as const))("n-gram %s", async (_, c) => {
  expect(bannedByNgramRef(c.history, c.n)).toEqual(c.banned);
  const logits = Float32Array.from({ length: 10 }, (_, i) => i - 5);
  const options = { step: c.history.length, noRepeatNgram: c.n };
  const got = await penalisedOnGpu(device, logits, [c.history], options);
  expect(got).toEqual(logits.map((x, i) => (c.banned.includes(i) ? BANNED : x)));
});
