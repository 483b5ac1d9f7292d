import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROW_TOP_CASES } from "../../src/kernels/decode/decode.cases.js";
import { greedyStepRef, logSoftmax, topIndices } from "../../src/kernels/decode/decode.ref.js";
import { greedyStep } from "../../src/kernels/decode/greedy.js";
import { BANNED } from "../../src/kernels/decode/limits.js";
import { createDecodeState, freeDecodeState, initAncestry } from "../../src/kernels/decode/state.js";
import { chooseTopVariant, rowTop, TOP_VARIANTS } from "../../src/kernels/decode/top.js";
import type { Device } from "../../src/runtime/device.js";
import { emptyRows, Scripted } from "./decode-steps.js";
import { runOp, testDevice, upload, values } from "./harness.js";

let devices: Record<"max" | "default", Device>;
beforeAll(async () => {
  devices = { max: await testDevice(), default: await testDevice({ limits: "default" }) };
});
afterAll(() => {
  devices?.max.close();
  devices?.default.close();
});

/** Rounded to halves, so that most values are tied; some rows have banned tokens. */
function tiedRows(name: string, rows: number, vocab: number): Float32Array {
  return values(name, rows * vocab, 4).map((x, i) => (i % 11 === 5 ? BANNED : Math.round(x * 2) / 2));
}

const variants = Object.entries(TOP_VARIANTS);
describe.each(variants)("rowTop %s", (_, variant) => {
  test.each(ROW_TOP_CASES)("$rows rows of $vocab, top $k", async ({ rows, vocab, k }) => {
    for (const make of [tiedRows, (name: string, r: number, v: number) => values(name, r * v, 9)]) {
      const data = make(`top ${rows} ${vocab}`, rows, vocab);
      const temperature = 0.8;
      let length = 0;
      const [got] = await runOp(devices.default, (p) => {
        const top = rowTop(p, upload(p, "logits", [rows, vocab], data), k, { label: "top", temperature, variant });
        length = top.length;
        return top.tensor;
      });
      const floats = new Float32Array(got!.buffer);
      for (let r = 0; r < rows; r++) {
        const row = Array.from(data.subarray(r * vocab, (r + 1) * vocab));
        const base = r * (length + 1) * 2;
        const best = topIndices(row, Math.min(k, vocab));
        expect(floats[base]).toBe(row[best[0]!]!);
        expect(floats[base + 1]).toBeCloseTo(-logSoftmax(row, temperature)[best[0]!]!, 5);
        best.forEach((token, j) => {
          expect(got![base + (j + 1) * 2 + 1], `row ${r}, place ${j}`).toBe(token);
          expect(floats[base + (j + 1) * 2]).toBe(row[token]!);
        });
      }
    }
  });
});

describe.each(["max", "default"] as const)("greedy at %s limits", (limits) => {
  test.each([
    [1, 23],
    [9, 211],
    [3, 4096],
    [2, 50_257],
  ])("%i rows of %i tokens follow the reference, step by step", async (images, vocab) => {
    const stop = [3, 7, vocab - 1];
    const steps = 6;
    const script = await Scripted.create(
      devices[limits],
      { images, width: 1, maxTokens: steps, capacity: 4, vocab },
      (p, logits, state, step) => greedyStep(p, logits, state, { label: "greedy", step, stop }),
    );
    let rows = emptyRows(images);
    for (let step = 0; step < steps; step++) {
      const logits = rows.map((_, r) => {
        const row = tiedRows(`greedy ${vocab} ${step} ${r}`, 1, vocab);
        if (step === r) row[stop[r % 3]!] = 6;
        return row;
      });
      rows = rows.map((row, r) => greedyStepRef(row, logits[r]!, stop));
      const got = await script.step(logits);
      expect(got.rows.map((r) => [r.tokens, r.length, r.stopped])).toEqual(
        rows.map((r) => [r.tokens, r.length, r.stopped]),
      );
      rows.forEach((row, r) => {
        expect(got.rows[r]!.score).toBeCloseTo(row.score, 4);
      });
      expect(got.next).toEqual(rows.map((r) => r.tokens.at(-1)));
      expect(got.remaining).toBe(rows.filter((r) => !r.stopped).length);
    }
    // Steps past the end change nothing.
    const before = await devices[limits].read(script.state.tokens);
    await script.step(rows.map(() => values("late", vocab)));
    expect(new Uint32Array(await devices[limits].read(script.state.tokens))).toEqual(new Uint32Array(before));
    script.destroy();
    freeDecodeState(devices[limits], script.state);
  });
});

test("a second caption starts afresh on the state of the first", async () => {
  const device = devices.max;
  const shape = { images: 2, width: 1, maxTokens: 3, capacity: 3, vocab: 23 };
  const state = createDecodeState(device, shape);
  const play = async () => {
    const script = await Scripted.create(
      device,
      shape,
      (p, logits, s, step) => greedyStep(p, logits, s, { label: "greedy", step, stop: [4] }),
      state,
    );
    const row = values("again", 23);
    row[4] = 2;
    const got = await script.step([row, values("other", 23)]);
    script.destroy();
    return got;
  };
  const first = await play();
  expect(first.rows[0]).toMatchObject({ tokens: [4], length: 1, stopped: true });
  expect(await play()).toEqual(first);
  freeDecodeState(device, state);
});

test("one row of logits per image serves all its rows at step 0 only", async () => {
  const device = devices.max;
  const state = createDecodeState(device, { images: 2, width: 3, maxTokens: 2, capacity: 2 });
  const logits = values("shared", 2 * 23);
  const [next] = await runOp(device, (p) => {
    const x = upload(p, "logits", [2, 23], logits);
    greedyStep(p, x, state, { label: "greedy", step: 0, stop: [] });
    expect(() => greedyStep(p, x, state, { label: "greedy", step: 1, stop: [] })).toThrow(/give \[6, V\]/);
    return state.next;
  });
  const best = [0, 1].map((i) => topIndices(Array.from(logits.subarray(i * 23, i * 23 + 23)), 1)[0]);
  expect(Array.from(next!)).toEqual([best[0], best[0], best[0], best[1], best[1], best[1]]);
  freeDecodeState(device, state);
});

test("the ancestry starts with the prefix in the image's first row", async () => {
  const state = createDecodeState(devices.max, { images: 2, width: 2, maxTokens: 1, capacity: 5 });
  const [ancestry] = await runOp(devices.max, (p) => {
    initAncestry(p, state, { prefix: 3, label: "start" });
    return state.ancestry;
  });
  expect(Array.from(ancestry!)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3]);
  freeDecodeState(devices.max, state);
});

test("the variant follows the adapter", () => {
  const adapter = { vendor: "", architecture: "", device: "", description: "" };
  expect(chooseTopVariant({ adapter: { ...adapter, isCpu: true } })).toBe(TOP_VARIANTS.cpu);
  expect(chooseTopVariant({ adapter: { ...adapter, isCpu: false } })).toBe(TOP_VARIANTS.gpu);
});

test("equal rows give equal bits wherever they lie", async () => {
  const row = values("aligned", 211, 5);
  const [got] = await runOp(devices.max, (p) => {
    const x = upload(
      p,
      "logits",
      [7, 211],
      Float32Array.from({ length: 7 * 211 }, (_, i) => row[i % 211]!),
    );
    return rowTop(p, x, 1, { label: "top" }).tensor;
  });
  for (let r = 1; r < 7; r++) expect(got!.subarray(r * 4, r * 4 + 4)).toEqual(got!.subarray(0, 4));
});

test("what cannot be done is refused with the limit", () => {
  const device = devices.max;
  expect(() => createDecodeState(device, { images: 0, width: 1, maxTokens: 1, capacity: 1 })).toThrow(/images is 0/);
  expect(() => createDecodeState(device, { images: 70_000, width: 1, maxTokens: 1, capacity: 1 })).toThrow(/65,535/);
});
