import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { logSoftmax } from "../../src/kernels/decode/decode.ref.js";
import { greedyStep } from "../../src/kernels/decode/greedy.js";
import { BANNED } from "../../src/kernels/decode/limits.js";
import { type PenaltyOptions, penalise } from "../../src/kernels/decode/penalise.js";
import { bannedByNgramRef, repetitionPenaltyRef } from "../../src/kernels/decode/penalise.ref.js";
import { filterProbabilities } from "../../src/kernels/decode/sample.js";
import { createDecodeState, type DecodeState, freeDecodeState } from "../../src/kernels/decode/state.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { penalisedOnGpu } from "./decode-steps.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device?.close());

/** Histories over few tokens, so that n-grams repeat; columns behind the history hold what must not count. */
function histories(rows: number, length: number, tokens: number): number[][] {
  return Array.from({ length: rows }, (_, r) =>
    Array.from(values(`history ${r}`, length), (x) => Math.floor(((x + 1) / 2) * tokens)),
  );
}

describe.each([
  { repetitionPenalty: 1.3 },
  { repetitionPenalty: 0.7 },
  { noRepeatNgram: 1 },
  { noRepeatNgram: 2 },
  { noRepeatNgram: 3 },
  { noRepeatNgram: 4, repetitionPenalty: 2 },
])("$repetitionPenalty $noRepeatNgram", ({ repetitionPenalty = 1, noRepeatNgram = 0 }) => {
  test.each([
    [1, 9, 12, 3],
    [5, 211, 67, 6],
    [2, 50_257, 20, 50_257],
  ])("%i rows of %i, %i tokens out of %i", async (rows, vocab, maxTokens, tokens) => {
    const logits = values(`penalise ${vocab}`, rows * vocab, 8);
    const all = histories(rows, maxTokens, tokens);
    for (const step of [0, 1, 2, 5, maxTokens]) {
      const got = await penalisedOnGpu(device, logits, all, { step, repetitionPenalty, noRepeatNgram });
      const want = all.flatMap((history, r) => {
        const seen = history.slice(0, step);
        const row = repetitionPenaltyRef(logits.subarray(r * vocab, (r + 1) * vocab), seen, repetitionPenalty);
        for (const t of bannedByNgramRef(seen, noRepeatNgram)) row[t] = BANNED;
        return row;
      });
      const bannedHere = (x: number) => x < -1e38;
      expect(Array.from(got, bannedHere)).toEqual(want.map(bannedHere));
      const rest = (x: number) => (bannedHere(x) ? 0 : x);
      expect(nmse(got.map(rest), want.map(rest))).toBeLessThan(1e-9);
    }
  });
});

async function withState<T>(use: (state: DecodeState) => Promise<T>): Promise<T> {
  const state = createDecodeState(device, { images: 2, width: 1, maxTokens: 4, capacity: 1 });
  try {
    return await use(state);
  } finally {
    freeDecodeState(device, state);
  }
}

test("a banned token has probability 0, its neighbours those of a vocabulary without it", async () => {
  await withState(async (state) => {
    const [got] = await runOp(device, (p) => {
      const x = upload(p, "logits", [2, 7], [0, 9, 1, 2, 3, 4, 9, 9, 0, -1, -2, -3, 8, 9]);
      const y = penalise(p, x, state, { label: "ban", step: 0, bannedTokens: [1, 6, 6] });
      return filterProbabilities(p, y, { label: "check", temperature: 0.5 });
    });
    const kept = [
      [0, 1, 2, 3, 4],
      [9, -1, -2, -3, 8],
    ].map((x) => logSoftmax(x, 0.5).map(Math.exp));
    expect([got![1], got![6], got![8], got![13]]).toEqual([0, 0, 0, 0]);
    const rest = Array.from(got!).filter((_, i) => ![1, 6, 8, 13].includes(i));
    expect(nmse(rest, kept.flat())).toBeLessThan(1e-9);
  });
});

test("the ban of stop tokens ends with the least length", async () => {
  await withState(async (state) => {
    for (const [step, token] of [
      [0, 2],
      [1, 2],
      [2, 1],
    ] as const) {
      const [next] = await runOp(device, (p) => {
        const x = upload(p, "logits", [2, 3], [0, 5, 4, 0, 5, 4]);
        greedyStep(p, penalise(p, x, state, { label: "ban", step, bannedTokens: [1], bannedUntil: 2 }), state, {
          label: "greedy",
          step,
          stop: [],
        });
        return state.next;
      });
      expect(Array.from(next!)).toEqual([token, token]);
    }
  });
});

test("what is out of range is refused", async () => {
  await withState(async (state) => {
    const p = new Program(device, "refused");
    const x = p.transient("logits", [2, 3]);
    const refuse = (options: Partial<PenaltyOptions>, message: RegExp) =>
      expect(() => penalise(p, x, state, { label: "p", step: 1, ...options })).toThrow(message);
    refuse({ repetitionPenalty: 0 }, /repetition penalty 0; it must be above 0/);
    refuse({ noRepeatNgram: 1.5 }, /no-repeat n-gram of 1.5/);
    refuse({ bannedTokens: Array.from({ length: 17 }, (_, i) => i) }, /17 banned tokens; at most 16/);
  });
});
