import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KvCache } from "../../src/kernels/attention/attention.js";
import type { Decoded } from "../../src/kernels/decode/results.js";
import { embedding } from "../../src/kernels/embedding/embedding.js";
import { addPositions, concatRows } from "../../src/kernels/rows/rows.js";
import type { GeneratorShape, Strategy } from "../../src/models/generate.js";
import { gpt2Decode, gpt2Logits, gpt2Prefill } from "../../src/models/gpt2.js";
import { mapper } from "../../src/models/mapper.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { goldenTensors } from "../goldens.js";
import { testDevice, upload } from "./harness.js";
import { type MapperType, TINY, type TinyCaptioner, tinyCaptioner, tinyGenerator } from "./tiny.js";

const { clipWidth: E, vocab: V, prefix: K, width: C } = TINY;
const BEAM: Strategy = { type: "beam", rule: "mean", alpha: 1, temperature: 1 };
const SAMPLE: Strategy = { type: "sample", temperature: 1, topK: 0, topP: 1 };

let device: Device;
let model: TinyCaptioner;
let clips: Float32Array;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
  model = await tinyCaptioner(device, "mlp");
  clips = await (await goldenTensors("decode.safetensors")).readF32("captions/clip_embedding");
});
afterAll(() => device?.close());

const clipOf = (...rows: number[]) => Float32Array.from(rows.flatMap((r) => [...clips.subarray(r * E, (r + 1) * E)]));

/** Captions of the golden embeddings `rows`, one array per image. */
async function captions(
  rows: readonly number[],
  shape: Partial<GeneratorShape> = {},
  seed = 0,
  captioner = model,
): Promise<Decoded[][]> {
  const { generator, clip } = await tinyGenerator(device, captioner, { images: rows.length, ...shape });
  device.write(clip, clipOf(...rows));
  const result = await generator.run({ seed });
  generator.destroy();
  return result;
}

const tokens = (decoded: readonly (readonly Decoded[])[]) => decoded.map((list) => list.map((d) => [...d.tokens]));

/** Logits [T, V] of a whole sequence without a cache; row K-1+i predicts token i. */
async function fullLogits({ map, gpt2 }: TinyCaptioner, row: number, ids: readonly number[]): Promise<Float32Array> {
  const p = new Program(device, "full");
  const { prefix } = mapper(p, map, upload(p, "clip", [1, E], clipOf(row)));
  const T = K + ids.length;
  const text = embedding(p, upload(p, "ids", [ids.length], Uint32Array.from(ids), "u32"), gpt2.wte, { label: "text" });
  const joined = concatRows(p, prefix, text, { batch: 1, label: "joined" });
  const x = addPositions(p, joined, gpt2.wpe, { start: 0, period: T, label: "x" });
  const logits = gpt2Logits(p, gpt2, gpt2Prefill(p, gpt2, x, { batch: 1, tokens: T }).at(-1)!);
  p.keep(logits);
  await p.compile();
  const values = await p.run({}, [logits]).f32();
  p.destroy();
  return values;
}

/** Logits of each step with a cache, the given tokens forced: prefix once, then one token at a time. */
async function cachedLogits(
  { map, gpt2 }: TinyCaptioner,
  row: number,
  ids: readonly number[],
): Promise<Float32Array[]> {
  const capacity = K + ids.length;
  const start = new Program(device, "start");
  const caches = gpt2.blocks.map((_, i): KvCache => {
    const [k, v] = [start.persistent(`k${i}`, [1, capacity, C]), start.persistent(`v${i}`, [1, capacity, C])];
    return { k, v, rows: 1, capacity };
  });
  const { prefix } = mapper(start, map, upload(start, "clip", [1, E], clipOf(row)));
  const x = addPositions(start, prefix, gpt2.wpe, { start: 0, period: K, label: "x" });
  const first = gpt2Logits(start, gpt2, gpt2Prefill(start, gpt2, x, { batch: 1, tokens: K, caches }).at(-1)!);
  start.keep(first);
  const step = new Program(device, "step");
  const id = step.persistent("id", [1], "u32");
  const ancestry = upload(step, "ancestry", [1, capacity], new Uint32Array(capacity), "u32");
  const scalars = { position: step.scalar("position"), keys: step.scalar("keys") };
  const next = gpt2Decode(step, gpt2, id, caches, ancestry, scalars);
  step.keep(next);
  await Promise.all([start.compile(), step.compile()]);
  const out: Float32Array[] = [(await start.run({}, [first]).f32()).slice((K - 1) * V)];
  for (const [i, token] of ids.entries()) {
    device.write(id, Uint32Array.of(token));
    out.push(await step.run({ position: K + i, keys: K + i + 1 }, [next]).f32());
  }
  for (const p of [start, step]) p.destroy();
  return out;
}

const argmax = (a: Float32Array) => a.indexOf(Math.max(...Array.from(a)));

describe.each(["mlp", "transformer"] as const)("%s mapper", (type: MapperType) => {
  test("with a key/value cache equals the whole sequence without one: logits and tokens", async () => {
    const captioner = await tinyCaptioner(device, type);
    const [[{ tokens: chosen }]] = (await captions([1], { stop: [] }, 0, captioner)) as [[Decoded]];
    expect(chosen.length).toBe(20);
    const full = await fullLogits(captioner, 1, chosen);
    const cached = await cachedLogits(captioner, 1, chosen);
    const largest = Math.max(...Array.from(full, Math.abs));
    let worst = 0;
    for (const [i, logits] of cached.entries()) {
      const expected = full.subarray((K - 1 + i) * V, (K + i) * V);
      for (let v = 0; v < V; v++) worst = Math.max(worst, Math.abs(logits[v]! - expected[v]!));
      if (i < chosen.length) expect([argmax(logits), argmax(expected)]).toEqual([chosen[i], chosen[i]]);
    }
    expect(worst / largest).toBeLessThan(2e-6); // the kernels for one row and for many sum in different orders
  });
});

test("one beam equals greedy, with either rule", async () => {
  const greedy = await captions([0, 1, 3]);
  for (const rule of ["mean", "length-normalised"] as const) {
    const beam = await captions([0, 1, 3], { strategy: { ...BEAM, rule } });
    expect(tokens(beam)).toEqual(tokens(greedy));
    for (const [i, [d]] of beam.entries()) expect(d!.score).toBeCloseTo(greedy[i]![0]!.score, 5);
  }
});

describe("a batch gives what its images give alone", () => {
  test.each([
    ["greedy", { strategy: { type: "greedy" } }],
    ["beam", { strategy: BEAM, width: 5 }],
    ["length-normalised beam", { strategy: { ...BEAM, rule: "length-normalised", alpha: 0.7 }, width: 4 }],
    ["sampling", { strategy: { ...SAMPLE, topK: 20, topP: 0.9 }, width: 3 }],
  ] as const)("%s", async (_, shape) => {
    const rows = [0, 2, 5, 3, 9];
    const together = await captions(rows, shape, 42);
    for (const [i, row] of rows.entries()) {
      const [alone] = await captions([row], shape, 42);
      expect(tokens([together[i]!])).toEqual(tokens([alone!]));
      for (const [k, d] of alone!.entries()) expect(together[i]![k]!.score).toBeCloseTo(d.score, 4);
    }
  });
});

describe("sampling", () => {
  const shape = { strategy: SAMPLE, width: 4, stop: [] };

  test("repeats with the same seed, on one generator and on a new one, and differs with another", async () => {
    const { generator, clip } = await tinyGenerator(device, model, shape);
    device.write(clip, clipOf(4));
    const [first, again, other] = [
      await generator.run({ seed: 7 }),
      await generator.run({ seed: 7 }),
      await generator.run({ seed: 8 }),
    ];
    generator.destroy();
    expect(again).toEqual(first);
    expect(await captions([4], shape, 7)).toEqual(first);
    expect(tokens(other)).not.toEqual(tokens(first));
    expect(new Set(tokens(first)[0]!.map(String)).size).toBe(4); // the captions of an image differ from each other
  });

  test("with one candidate, or next to no temperature, equals greedy", async () => {
    const [[greedy]] = (await captions([3], { stop: [] })) as [[Decoded]];
    for (const strategy of [
      { ...SAMPLE, topK: 1 },
      { ...SAMPLE, topP: 1e-6 },
      { ...SAMPLE, temperature: 1e-5 },
    ]) {
      for (const d of (await captions([3], { ...shape, strategy }, 3))[0]!) expect(d.tokens).toEqual(greedy.tokens);
    }
  });
});

describe("shape", () => {
  let greedy: Decoded;
  beforeAll(async () => {
    greedy = (await captions([3], { stop: [] }))[0]![0]!;
  });

  test("a prompt is continued as if it had been chosen", async () => {
    const prompt = greedy.tokens.slice(0, 3);
    const [[rest]] = (await captions([3], { stop: [], prompt, maxTokens: 17 })) as [[Decoded]];
    expect(rest.tokens).toEqual(greedy.tokens.slice(3));
    const [[other]] = (await captions([3], { stop: [], prompt: [5, 6, 7], maxTokens: 17 })) as [[Decoded]];
    expect(other.tokens).not.toEqual(rest.tokens);
  });

  test("a stop token ends the caption and belongs to it", async () => {
    const at = 5;
    const stop = [greedy.tokens[at]!, 210];
    const first = greedy.tokens.indexOf(stop[0]!);
    const [[cut]] = (await captions([3], { stop })) as [[Decoded]];
    expect(cut.tokens).toEqual(greedy.tokens.slice(0, first + 1));
    expect(cut.stopped).toBe(true);
    expect(greedy.stopped).toBe(false);
  });

  test.each([1, 2, 3, 20])("at most %i tokens", async (maxTokens) => {
    const [[cut]] = (await captions([3], { stop: [], maxTokens })) as [[Decoded]];
    expect(cut.tokens).toEqual(greedy.tokens.slice(0, maxTokens));
    expect(cut.stopped).toBe(false);
  });

  test("all positions of the model can be used", async () => {
    const [[long]] = (await captions([3], { stop: [], maxTokens: TINY.context - K })) as [[Decoded]];
    expect(long.tokens.slice(0, 20)).toEqual(greedy.tokens);
    expect(long.tokens.length).toBe(44);
  });

  test("no n-gram twice", async () => {
    const pairs = (ids: readonly number[]) => ids.slice(1).map((id, i) => `${ids[i]} ${id}`);
    const repeats = (d: Decoded) => pairs(d.tokens).length - new Set(pairs(d.tokens)).size;
    const images = [0, 1, 3, 4, 5, 6];
    const free = await captions(images, { stop: [], maxTokens: 40 });
    expect(free.some(([d]) => repeats(d!) > 0)).toBe(true); // else the next line shows nothing
    const banned = await captions(images, { stop: [], maxTokens: 40, noRepeatNgram: 2 });
    expect(banned.map(([d]) => repeats(d!))).toEqual(images.map(() => 0));
  });
});

describe("running", () => {
  test.each([
    ["greedy", { strategy: { type: "greedy" } }],
    ["beam", { strategy: BEAM, width: 5 }],
    ["sampling", { strategy: SAMPLE, width: 3 }],
  ] as const)("%s: a second run creates no buffer, bind group or pipeline", async (_, shape) => {
    const { generator, clip } = await tinyGenerator(device, model, { ...shape, stop: [] });
    device.write(clip, clipOf(3));
    const first = await generator.run({ seed: 1 });
    const { buffers, bindGroups, pipelines, submits } = device.counters;
    const memory = device.memory();
    expect(await generator.run({ seed: 1 })).toEqual(first);
    expect(device.counters).toMatchObject({ buffers, bindGroups, pipelines });
    expect(device.counters.submits - submits).toBeLessThanOrEqual(20 + 1); // one per token, one for the results
    expect(device.memory()).toEqual(memory);
    generator.destroy();
  });

  test("tokens are reported step by step", async () => {
    const { generator, clip } = await tinyGenerator(device, model, { images: 2, stop: [] });
    device.write(clip, clipOf(3, 4));
    const seen: number[][] = [];
    const onTokens = (next: Uint32Array, step: number) => {
      expect(step).toBe(seen.length);
      seen.push(Array.from(next));
    };
    const result = await generator.run({ seed: 0, onTokens });
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => result.map(([d]) => d!.tokens[i])));
    generator.destroy();
  });

  test("an abort stops within a few steps, and the generator can be used again", async () => {
    const { generator, clip } = await tinyGenerator(device, model, { stop: [], maxTokens: 40 });
    device.write(clip, clipOf(3));
    const expected = await generator.run({ seed: 0 });
    let stop = false;
    const { submits } = device.counters;
    const onTokens = (_: Uint32Array, step: number) => {
      stop ||= step === 3;
    };
    await expect(generator.run({ seed: 0, stopped: () => stop, onTokens })).rejects.toMatchObject({ code: "aborted" });
    expect(device.counters.submits - submits).toBeLessThan(8);
    expect(await generator.run({ seed: 0 })).toEqual(expected);
    generator.destroy();
  });

  test("the loss of the device rejects a running caption", async () => {
    const other = await testDevice();
    try {
      const captioner = await tinyCaptioner(other, "mlp");
      const { generator } = await tinyGenerator(other, captioner, { stop: [], maxTokens: 40 });
      const onTokens = (_: Uint32Array, step: number) => {
        if (step === 3) other.gpu.destroy();
      };
      await expect(generator.run({ seed: 0, onTokens })).rejects.toMatchObject({ code: "device-lost" });
    } finally {
      other.close();
    }
  });

  test("destroying a generator gives back all it took", async () => {
    const before = device.memory().byLabel;
    await captions([1, 2], { strategy: { ...BEAM, rule: "length-normalised" }, width: 3, prompt: [1, 2] });
    expect(device.memory().byLabel).toEqual(before);
  });

  test("a generator that does not fit leaves nothing behind", async () => {
    const small = await testDevice({ maxMemory: 2 * 2 ** 20 });
    try {
      const captioner = await tinyCaptioner(small, "mlp");
      expect(small.empty.size).toBe(4); // made at its first use, and kept
      const { byLabel } = small.memory();
      await expect(tinyGenerator(small, captioner, { images: 64, width: 5, strategy: BEAM })).rejects.toMatchObject({
        code: "out-of-memory",
      });
      expect(small.memory().byLabel).toEqual(byLabel);
      await expect(tinyGenerator(small, captioner, { images: 8 })).resolves.toBeDefined();
    } finally {
      small.close();
    }
  });
});
