import { afterAll, beforeAll, expect, test } from "vitest";
import { loadGpt2 } from "../../src/models/gpt2.js";
import { loadMapper } from "../../src/models/mapper.js";
import { listWeights, unstacked, WeightLoader } from "../../src/models/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { captionBatch, captionLoss, labelledRows } from "../../src/train/caption-loss.js";
import { ADAMW_DEFAULTS, recordAdamW } from "../../src/train/optimizer.js";
import { ParameterStore } from "../../src/train/parameters.js";
import { learningRates } from "../../src/train/schedule.js";
import { type MapperConfig, parseGpt2Config } from "../../src/weights/config.js";
import { canonicalNames } from "../../src/weights/names.js";
import { goldenJson, goldenTensors, readI32 } from "../goldens.js";
import { testDevice, upload } from "../gpu/harness.js";

interface Run {
  readonly mapper: "mlp" | "transformer";
  readonly mode: "finetune" | "frozen";
  readonly optimiser: "torch" | "hf2021";
  readonly loss: number[];
  readonly lr: number[];
  readonly grad_norm: number[];
}

const golden = goldenJson<{ steps: number; peak_lr: number; warmup: number; runs: Record<string, Run> }>(
  "tiny",
  "train.json",
);
const [K, E, C, B, T] = [4, 48, 64, 3, 12];

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

/** Loads the tiny captioner; what is trained lies in a parameter store. */
async function loadModel({ mapper: type, mode }: Run) {
  const file = await canonicalNames(await goldenTensors("tiny", `tiny-clipcap-${type}`, "model.safetensors"));
  const config: MapperConfig =
    type === "mlp"
      ? { type, prefixLength: K, clipWidth: E, gptWidth: C }
      : { type, prefixLength: K, clipLength: 3, clipWidth: E, gptWidth: C, layers: 2, heads: 8 };
  const gpt2Config = parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json"));
  const frozen = { dtype: "f32", account: "model" } as const;
  const listed = await listWeights(device, file, async (w) => {
    await loadMapper(w, config);
    if (mode === "finetune") await loadGpt2(w, gpt2Config);
  });
  const list = listed.map(({ tensor: { label, shape } }) => ({ name: label, shape, decay: true }));
  const store = ParameterStore.create(device, list);
  const trained = { ...frozen, allocate: (label: string) => store.tensor(label) };
  const mapperLoader = new WeightLoader(device, file, trained);
  const gptLoader = new WeightLoader(device, file, mode === "finetune" ? trained : frozen);
  const model = { mapper: await loadMapper(mapperLoader, config), gpt2: await loadGpt2(gptLoader, gpt2Config) };
  return { model, store, loaded: [...mapperLoader.loaded, ...(mode === "finetune" ? gptLoader.loaded : [])] };
}

test.each(Object.entries(golden.runs))("%s: losses, gradient norms and parameters of 12 steps", async (name, run) => {
  const { model, store, loaded } = await loadModel(run);
  const data = await goldenTensors("tiny", "train_batches.safetensors");
  const [clips, ids, lengths] = [
    await data.readF32("clip_embedding"),
    await readI32(data, "tokens"),
    await readI32(data, "lengths"),
  ];
  // One program for every step: rows beyond a batch's labels have weight 0.
  const p = new Program(device, "train");
  const batch = captionBatch(p, { batch: B, tokens: T, labels: B * T });
  const clip = p.persistent("clip", [B, E]);
  const loss = captionLoss(p, model, clip, batch);
  p.keep(loss);
  p.backward(loss, upload(p, "one", [1], [1]));
  const norm = recordAdamW(p, store, { ...ADAMW_DEFAULTS[run.optimiser], loss, label: "adamw" });
  await p.compile();

  const rate = learningRates({
    shape: { type: "linear" },
    peak: golden.peak_lr,
    total: golden.steps,
    warmup: { steps: golden.warmup },
  });
  for (let step = 0; step < golden.steps; step++) {
    const captions = Array.from({ length: B }, (_, b) => {
      const first = (step * B + b) * T;
      return Array.from(ids.subarray(first, first + lengths[step * B + b]!));
    });
    const { rows, targets } = labelledRows(captions, { prefixLength: K, tokens: T });
    const padded = (values: readonly number[]) => Uint32Array.from({ length: B * T }, (_, i) => values[i] ?? 0);
    device.write(clip, clips.subarray(step * B * E, (step + 1) * B * E));
    device.write(batch.ids, Uint32Array.from(ids.subarray(step * B * T, (step + 1) * B * T)));
    device.write(batch.rows, padded(rows));
    device.write(batch.targets, padded(targets));
    device.write(
      batch.weights,
      Float32Array.from({ length: B * T }, (_, i) => (i < rows.length ? 1 / rows.length : 0)),
    );
    const lr = rate(step);
    expect(Math.abs(lr - run.lr[step]!)).toBeLessThan(1e-12);
    const [value, size] = (await p.run({ accumulate: 0, lr, t: step + 1 }, [loss, norm]).get()) as Float32Array[];
    expect(Math.abs(value![0]! - run.loss[step]!), `loss before update ${step + 1}`).toBeLessThan(1e-4);
    // 1e-5 at most steps; a ReLU input within rounding of 0 has its slope or not, which is worth 1.5e-4 of the norm here.
    expect(Math.abs(size![0]! / run.grad_norm[step]! - 1), `norm of step ${step}`).toBeLessThan(5e-4);
  }

  const expected = await goldenTensors("tiny", `${name}.safetensors`);
  let compared = 0;
  for (const entry of loaded) {
    for (const { name: piece, values } of unstacked(entry, await store.read(entry.tensor.label))) {
      const golden = await expected.readF32(expected.tensors.has(piece) ? piece : `gpt.transformer.${piece}`);
      let worst = 0;
      for (let i = 0; i < golden.length; i++) {
        // The gradient of a key bias is exactly zero; what Adam makes of its rounding noise is no result.
        if (piece.endsWith("c_attn.bias") && i >= C && i < 2 * C) continue;
        worst = Math.max(worst, Math.abs(values[i]! - golden[i]!));
      }
      expect(worst, piece).toBeLessThan(5e-5);
      compared++;
    }
  }
  expect(compared).toBe(expected.tensors.size);
  p.destroy();
  store.free();
});
