/** One update from several micro-batches is the update of the whole batch, whatever their sizes and numbers of tokens. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { unstacked } from "../../src/models/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { countLabels, packBatch, type Text } from "../../src/train/batch.js";
import { TrainingModel } from "../../src/train/model.js";
import { ADAMW_DEFAULTS } from "../../src/train/optimizer.js";
import { Trainer } from "../../src/train/trainer.js";
import { parseGpt2Config } from "../../src/weights/config.js";
import { canonicalNames } from "../../src/weights/names.js";
import { goldenJson, goldenTensors, readI32 } from "../goldens.js";
import { testDevice } from "../gpu/harness.js";

const golden = goldenJson<{
  accumulation: {
    loss: number;
    grad_norm: number;
    grad_norm_of_plain_average_of_means: number;
    optimiser: { variant: "hf2021"; lr: number; t: number };
  };
}>("tiny", "models.json").accumulation;
const [B, T, K, E, C] = [6, 12, 4, 48, 64];

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

async function createModel(): Promise<TrainingModel> {
  const file = await canonicalNames(await goldenTensors("tiny", "tiny-clipcap-mlp", "model.safetensors"));
  const gpt2 = parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json"));
  const mapper = { type: "mlp", prefixLength: K, clipWidth: E, gptWidth: C } as const;
  const sources = { mapper: { config: mapper, file, trained: true }, gpt2: { config: gpt2, file, trained: true } };
  return TrainingModel.create(device, sources, { contrastive: false });
}

test.each([[[6]], [[3, 3]], [[4, 2]], [[1, 5]], [[2, 1, 3]]])("micro-batches of %j", async (sizes) => {
  const data = await goldenTensors("tiny", "accumulation.safetensors");
  const [clips, ids, lengths] = [
    await data.readF32("clip_embedding"),
    await readI32(data, "tokens"),
    await readI32(data, "lengths"),
  ];
  const texts = Array.from(lengths, (n, b): Text => ({ gpt2: Array.from(ids.subarray(b * T, b * T + n)), clip: [] }));
  const pack = { prefixLength: K, maxTokens: T, maxTextTokens: 0, weight: 1 / countLabels(texts) };
  let first = 0;
  const batches = sizes.map((size) => {
    const [start, end] = [first, (first += size)];
    return packBatch(texts.slice(start, end), size, clips.slice(start * E, end * E), pack);
  });
  expect(first).toBe(B);

  const model = await createModel();
  const largest = Math.max(...sizes);
  const trainer = await Trainer.create(device, model, {
    inputShape: [E],
    normalizePrefix: false,
    contrastive: 0,
    dropout: 0,
    optimizer: ADAMW_DEFAULTS[golden.optimiser.variant],
    largest: { images: largest, batch: largest, tokens: T, labels: largest * T, textTokens: 0 },
  });
  const { lr, t } = golden.optimiser;
  const pending = await trainer.step(batches, { lr, t, seeds: sizes.map(() => 0) });
  const { total, gradNorm, skipped } = await pending.result();
  expect(skipped).toBe(0);
  expect(Math.abs(total - golden.loss)).toBeLessThan(1e-4);
  expect(Math.abs(gradNorm / golden.grad_norm - 1)).toBeLessThan(1e-4);
  // The golden can tell: means that are averaged without regard to their tokens have another norm.
  expect(Math.abs(golden.grad_norm_of_plain_average_of_means / golden.grad_norm - 1)).toBeGreaterThan(1e-3);

  const names = { "grad.": new Set<string>(), "param.": new Set<string>() };
  /** At most `relative` of the largest value, or `absolute`. */
  const compare = async (
    kind: keyof typeof names,
    name: string,
    values: Float32Array,
    { relative = 0, absolute }: { relative?: number; absolute: number },
  ) => {
    const key = [`${kind}${name}`, `${kind}gpt.transformer.${name}`].find((k) => data.tensors.has(k));
    if (key === undefined) return;
    names[kind].add(key);
    const expected = await data.readF32(key);
    const largest = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    let worst = 0;
    for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(values[i]! - expected[i]!));
    expect(worst, key).toBeLessThan(relative * largest + absolute);
  };
  for (const entry of [...model.loaded.values()].flat()) {
    const { label } = entry.tensor;
    for (const { name, values } of unstacked(entry, await model.store.read(label, "grad"))) {
      await compare("grad.", name, values, { relative: 1e-4, absolute: 1e-5 });
    }
    for (const { name, values } of unstacked(entry, await model.store.read(label))) {
      await compare("param.", name, values, { absolute: 5e-5 });
    }
  }
  const stored = (kind: string) => [...data.tensors.keys()].filter((key) => key.startsWith(kind)).length;
  expect(names["grad."].size).toBe(stored("grad."));
  expect(names["param."].size).toBe(stored("param."));
  expect(stored("grad.")).toBeGreaterThan(30);
  trainer.free();
  model.free();
});
