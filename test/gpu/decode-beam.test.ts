import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BeamOptions, type BeamRule, beamStep } from "../../src/kernels/decode/beam.js";
import {
  beamStepRef,
  type FinishedRef,
  normalised,
  pooledStepRef,
  type RowRef,
  topIndices,
} from "../../src/kernels/decode/decode.ref.js";
import { greedyStep } from "../../src/kernels/decode/greedy.js";
import { decodeReads, finalOrder } from "../../src/kernels/decode/results.js";
import { createDecodeState, freeDecodeState, initAncestry } from "../../src/kernels/decode/state.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { emptyRows, type RecordSteps, readAll, Scripted, type Snapshot } from "./decode-steps.js";
import { testDevice, upload, values } from "./harness.js";

let devices: Record<"max" | "default", Device>;
beforeAll(async () => {
  devices = { max: await testDevice(), default: await testDevice({ limits: "default" }) };
});
afterAll(() => {
  devices?.max.close();
  devices?.default.close();
});

interface Case {
  readonly name: string;
  readonly images: number;
  readonly beams: number;
  readonly vocab: number;
  readonly steps: number;
  readonly stop: readonly number[];
  /** Added to the logits of stop tokens after the first step. */
  readonly boost: number;
  readonly temperature?: number;
  readonly alpha?: number;
  /** Half of the tokens share the largest logit, in all rows alike: all beams stay tied. */
  readonly tied?: boolean;
}

const cases: readonly Case[] = [
  { name: "plain", images: 1, beams: 5, vocab: 211, steps: 8, stop: [13], boost: 0 },
  { name: "stops", images: 3, beams: 5, vocab: 23, steps: 12, stop: [13, 2], boost: 2 },
  { name: "all-stop-early", images: 2, beams: 3, vocab: 23, steps: 8, stop: [13], boost: 8 },
  { name: "warm", images: 9, beams: 2, vocab: 211, steps: 6, stop: [0, 7], boost: 3, temperature: 1.7, alpha: 0.6 },
  { name: "zero", images: 1, beams: 4, vocab: 23, steps: 5, stop: [5], boost: 1, temperature: 0, alpha: 0 },
  { name: "one-beam", images: 2, beams: 1, vocab: 4096, steps: 5, stop: [13], boost: 1 },
  { name: "sixteen", images: 2, beams: 16, vocab: 50_257, steps: 4, stop: [13, 764, 50_256], boost: 14 },
  { name: "gpt2", images: 1, beams: 5, vocab: 50_257, steps: 4, stop: [13, 764, 50_256], boost: 15 },
  { name: "ties", images: 2, beams: 5, vocab: 23, steps: 5, stop: [3], boost: 0, tied: true },
];

/**
 * Logits of a beam: they depend on its whole history, so that a wrong permutation shows at once, and are exponentially
 * distributed, so that the largest of 50,257 are far enough apart for f32.
 */
function logitsOf(c: Case, image: number, row: RowRef): Float32Array {
  const step = row.tokens.length;
  const data = c.tied
    ? values(`ties ${step}`, c.vocab).map((x) => (x > 0 ? 3 : 0))
    : values(`${c.name} ${image} ${row.tokens}`, c.vocab).map((x) => -1.5 * Math.log((1 - x) / 2 + 1e-9));
  if (step > 0) for (const s of c.stop) data[s]! += c.boost;
  return data;
}

const PREFIX = 3;

/** One image as the reference sees it. `ancestry[beam][position]` is a cache row. */
interface Expected {
  readonly rows: readonly RowRef[];
  readonly pool: readonly (FinishedRef | undefined)[];
  readonly ancestry: readonly (readonly number[])[];
}

function follow(c: Case, rule: BeamRule, image: number, before: Expected): Expected {
  const { rows, ancestry } = before;
  const logits = rows.map((row) => logitsOf(c, image, row));
  const after =
    rule === "mean"
      ? { ...beamStepRef(rows, logits, c.stop, c.temperature), pool: before.pool }
      : pooledStepRef(before, logits, c.stop, c.temperature, c.alpha);
  expect(after.margin, "f32 could decide otherwise: choose other logits").toBeGreaterThan(2e-5);
  return { ...after, ancestry: after.source.map((b, own) => [...ancestry[b]!, image * c.beams + own]) };
}

function start(c: Case, image: number): Expected {
  return {
    rows: emptyRows(c.beams),
    pool: Array.from({ length: c.beams }, () => undefined),
    ancestry: Array.from({ length: c.beams }, () => Array(PREFIX).fill(image * c.beams)),
  };
}

function compare(c: Case, rule: BeamRule, want: readonly Expected[], got: Snapshot): void {
  const rows = want.flatMap((e) => e.rows);
  const columns = PREFIX + rows[0]!.tokens.length;
  expect(got.rows.map((r) => [r.tokens, r.length, r.stopped])).toEqual(
    rows.map((r) => [r.tokens, r.length, r.stopped]),
  );
  expect(got.next).toEqual(rows.map((r) => r.tokens.at(-1)));
  expect(got.remaining).toBe(want.filter((e) => e.rows.some((r) => !r.stopped)).length);
  rows.forEach((row, r) => {
    expect(got.rows[r]!.score).toBeCloseTo(row.score, 4);
  });
  want
    .flatMap((e) => e.ancestry)
    .forEach((history, r) => {
      const all = got.ancestry.subarray(r * capacityOf(c));
      expect(Array.from(all.subarray(0, columns)), `ancestry of row ${r}`).toEqual(history);
    });
  if (rule === "mean") return;
  const [tokens, length, score] = got.extra;
  want
    .flatMap((e) => e.pool)
    .forEach((h, slot) => {
      expect(length![slot]).toBe(h?.tokens.length ?? 0);
      if (!h) return;
      expect(Array.from(tokens!.subarray(slot * c.steps, slot * c.steps + h.tokens.length))).toEqual(h.tokens);
      expect(score![slot]).toBeCloseTo(h.score, 4);
    });
}

function capacityOf(c: Case): number {
  return c.steps + PREFIX;
}

const rules: readonly BeamRule[] = ["mean", "length-normalised"];

describe.each(rules)("beam search, rule %s", (rule) => {
  test.each(cases.map((c) => [c.name, c] as const))("%s follows the reference after every step", async (_, c) => {
    const device = devices[c.images === 2 ? "default" : "max"];
    const shape = { images: c.images, width: c.beams, maxTokens: c.steps, capacity: capacityOf(c), vocab: c.vocab };
    const state = createDecodeState(device, { ...shape, withPool: rule !== "mean" });
    const { pool } = state;
    const script = await Scripted.create(
      device,
      shape,
      (p, logits, s, step, position) => beamStep(p, logits, s, { label: "beam", step, position, ...c, rule }),
      state,
      pool ? [pool.tokens, pool.length, pool.score] : [],
    );
    await recordOnce(device, (p) => initAncestry(p, state, { prefix: PREFIX, label: "start" }));
    let want = Array.from({ length: c.images }, (_, image) => start(c, image));
    for (let step = 0; step < c.steps; step++) {
      const logits = want.flatMap((e, image) => e.rows.map((row) => logitsOf(c, image, row)));
      want = want.map((e, image) => follow(c, rule, image, e));
      compare(c, rule, want, await script.step(logits, { position: PREFIX + step }));
    }
    const captions = finalOrder(state, await readAll(device, decodeReads(state)), c.alpha);
    expect(captions.map((list) => list.map((d) => d.tokens))).toEqual(want.map((e) => bestOf(c, rule, e)));
    script.destroy();
    freeDecodeState(device, state);
  });
});

/** Token lists of an image, best first, by the definition. */
function bestOf(c: Case, rule: BeamRule, { rows, pool }: Expected): (readonly number[])[] {
  const live = rows.map((r) => ({ tokens: r.tokens.slice(0, r.length), score: r.score }));
  const finished = pool.filter((h) => h !== undefined);
  const all = rule === "mean" ? live : rows[0]!.stopped ? finished : [...finished, ...live];
  return topIndices(
    all.map((h) => normalised(h, c.alpha ?? 1)),
    c.beams,
  ).map((i) => all[i]!.tokens);
}

test("the cases end searches early, late and not at all", () => {
  for (const rule of rules) {
    const ends = cases.map((c) => {
      let e = start(c, 0);
      for (let step = 0; step < c.steps; step++) e = follow(c, rule, 0, e);
      return e.rows.every((r) => r.stopped);
    });
    expect(new Set(ends)).toEqual(new Set([true, false]));
  }
});

test.each(rules)("%s: a second search starts afresh on the state of the first", async (rule) => {
  const device = devices.max;
  const c = cases.find((x) => x.name === "stops")!;
  const shape = { images: c.images, width: c.beams, maxTokens: c.steps, capacity: capacityOf(c), vocab: c.vocab };
  const state = createDecodeState(device, { ...shape, withPool: rule !== "mean" });
  const play = async (boost: number, steps: number) => {
    const script = await Scripted.create(
      device,
      shape,
      (p, logits, s, step, position) => beamStep(p, logits, s, { label: "beam", step, position, ...c, rule }),
      state,
    );
    let images = Array.from({ length: c.images }, (_, i) => start(c, i).rows);
    for (let step = 0; step < steps; step++) {
      const logits = images.flatMap((rows, i) => rows.map((row) => logitsOf({ ...c, boost }, i, row)));
      const { rows } = await script.step(logits, { position: PREFIX + step });
      images = images.map((_, i) => rows.slice(i * c.beams, (i + 1) * c.beams));
    }
    script.destroy();
    return finalOrder(state, await readAll(device, decodeReads(state)));
  };
  const first = await play(-20, 3);
  const finished = await play(8, c.steps);
  expect(finished.flat().every((d) => d.stopped)).toBe(true);
  expect(await play(-20, 3)).toEqual(first);
  freeDecodeState(device, state);
});

test("one beam equals greedy decoding", async () => {
  const shape = { images: 2, width: 1, maxTokens: 5, capacity: 5, vocab: 211 };
  const play = async (record: RecordSteps) => {
    const script = await Scripted.create(devices.max, shape, record);
    let got: Snapshot | undefined;
    for (let step = 0; step < 5; step++) {
      got = await script.step([0, 1].map((i) => values(`one ${step} ${i}`, 211, 5)));
    }
    script.destroy();
    freeDecodeState(devices.max, script.state);
    return got!.rows;
  };
  const stop = [3];
  const beam = await play((p, logits, s, step) =>
    beamStep(p, logits, s, { label: "beam", step, position: 0, stop, rule: "mean" }),
  );
  const greedy = await play((p, logits, s, step) => greedyStep(p, logits, s, { label: "greedy", step, stop }));
  expect(beam).toEqual(greedy);
});

test("the first step takes one row of logits per image", async () => {
  const device = devices.max;
  const logits = values("prefill", 2 * 23, 3);
  const state = createDecodeState(device, { images: 2, width: 4, maxTokens: 2, capacity: 6 });
  await recordOnce(device, (p) =>
    beamStep(p, upload(p, "logits", [2, 23], logits), state, {
      label: "beam",
      step: 0,
      position: 3,
      stop: [],
      rule: "mean",
    }),
  );
  const next = new Uint32Array(await device.read(state.next));
  const want = [0, 1].flatMap((i) => topIndices(Array.from(logits.subarray(i * 23, i * 23 + 23)), 4));
  expect(Array.from(next)).toEqual(want);
  freeDecodeState(device, state);
});

test("what cannot be done is refused with the limit", () => {
  const device = devices.max;
  const p = new Program(device, "refused");
  const options = { label: "beam", step: 0, position: 0, stop: [1], rule: "mean" } as const;
  const refuse = (width: number, vocab: number, more: Partial<BeamOptions>, message: RegExp) => {
    const state = createDecodeState(device, { images: 1, width, maxTokens: 1, capacity: 1 });
    const logits = p.transient("logits", [1, vocab]);
    expect(() => beamStep(p, logits, state, { ...options, ...more })).toThrow(message);
    freeDecodeState(device, state);
  };
  refuse(17, 100, {}, /17 beams; at most 16/);
  refuse(5, 4, {}, /5 beams need 5 candidates; the vocabulary has 4/);
  refuse(5, 23, { rule: "length-normalised" }, /created with a pool/);
  refuse(5, 23, { stop: Array.from({ length: 17 }, (_, i) => i) }, /17 stop tokens; at most 16/);
  p.destroy();
});

async function recordOnce(device: Device, record: (p: Program) => void): Promise<void> {
  const p = new Program(device, "once");
  record(p);
  await p.compile();
  p.run();
  await device.idle();
  p.destroy();
}
