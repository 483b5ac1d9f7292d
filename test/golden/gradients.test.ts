import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contrastiveLoss } from "../../src/kernels/contrastive/contrastive.js";
import { clipText, clipVision, endOfText, loadClipText, loadClipVision } from "../../src/models/clip.js";
import { loadGpt2 } from "../../src/models/gpt2.js";
import { loadMapper } from "../../src/models/mapper.js";
import { type LoadedTensor, unstacked, WeightLoader, type WeightOptions } from "../../src/models/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { countLabels, packBatch } from "../../src/train/batch.js";
import { captionBatch, captionLoss } from "../../src/train/caption-loss.js";
import { type MapperConfig, parseClipConfig, parseGpt2Config } from "../../src/weights/config.js";
import { canonicalNames } from "../../src/weights/names.js";
import type { TensorFile } from "../../src/weights/tensor-file.js";
import { goldenJson, goldenTensors, readI32 } from "../goldens.js";
import { leaf, testDevice, upload } from "../gpu/harness.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

const frozen: WeightOptions = { dtype: "f32", account: "test" };
const trained = (): WeightOptions => ({
  ...frozen,
  allocate: (label, shape) => device.tensor(label, shape, "f32", { requiresGrad: true }),
});

/** Gradients under the names and layouts of the file. */
async function gradients(loaded: readonly LoadedTensor[]): Promise<Map<string, Float32Array>> {
  const out = new Map<string, Float32Array>();
  for (const entry of loaded) {
    const grad = new Float32Array(await device.read(gradOf(entry.tensor)));
    for (const { name, values } of unstacked(entry, grad)) out.set(name, values);
  }
  return out;
}

function gradOf(t: Tensor): Tensor {
  if (t.storage.kind !== "buffers" || !t.storage.grad) throw new Error(`${t.label} has no gradient`);
  return t.storage.grad;
}

/** Errors are at most 1e-4 of the tensor's largest gradient; exact zeros (key biases) need 1e-5 absolute. */
function expectGradient(name: string, got: ArrayLike<number>, expected: Float32Array): void {
  expect(got.length, name).toBe(expected.length);
  const largest = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  let worst = 0;
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(got[i]! - expected[i]!));
  expect(worst, `${name}: largest error, beside gradients up to ${largest}`).toBeLessThan(1e-4 * largest + 1e-5);
}

interface Losses {
  readonly clip: { loss: number };
  readonly clipcap_mlp: CaptionLosses;
  readonly clipcap_transformer: CaptionLosses;
}
/** With all labels, and as the original has it, where token 0 is none. */
interface CaptionLosses {
  readonly loss: number;
  readonly valid_tokens: number;
  readonly loss_ignore_id0: number;
  readonly valid_tokens_ignore_id0: number;
  readonly finetune: Norms;
  readonly frozen: Norms;
}
interface Norms {
  readonly grad_norm: number;
  readonly grad_norm_ignore_id0: number;
}
const losses = goldenJson<Losses>("tiny", "models.json");

test("tiny CLIP: contrastive loss and all gradients", async () => {
  const golden = await goldenTensors("tiny", "clip.safetensors");
  const file = await canonicalNames(await goldenTensors("tiny", "tiny-clip", "model.safetensors"));
  const config = parseClipConfig(goldenJson("tiny", "tiny-clip", "config.json"));
  const loader = new WeightLoader(device, file, trained());
  const vision = await loadClipVision(loader, config.vision);
  const text = await loadClipText(loader, config.text);
  const scale = await loader.vector("logit_scale", [1]);
  const [B, T] = [3, 16];
  const ids = Array.from(await readI32(golden, "input_ids"));
  const last = Array.from({ length: B }, (_, b) => b * T + endOfText(ids.slice(b * T, (b + 1) * T), config.text));

  const p = new Program(device, "clip training");
  const pixels = upload(p, "pixels", [B, 3, 32, 32], await golden.readF32("pixel_values"));
  const images = clipVision(p, vision, pixels).embeds;
  const idTensor = upload(p, "ids", [B * T], Uint32Array.from(ids), "u32");
  const lastTensor = upload(p, "last", [B], Uint32Array.from(last), "u32");
  const texts = clipText(p, text, idTensor, lastTensor, { batch: B, tokens: T }).embeds;
  const loss = contrastiveLoss(p, images, texts, scale, { label: "loss" });
  p.keep(loss);
  p.backward(loss, upload(p, "one", [1], [1]));
  await p.compile();
  const [value] = await p.run({ accumulate: 0 }, [loss]).f32();
  expect(Math.abs(value! - losses.clip.loss)).toBeLessThan(1e-5);
  const got = await gradients(loader.loaded);
  const names = [...golden.tensors.keys()].filter((n) => n.startsWith("grad."));
  expect(names.length).toBe(78);
  for (const name of names) expectGradient(name, got.get(name.slice(5))!, await golden.readF32(name));
});

describe.each(["mlp", "transformer"] as const)("tiny ClipCap, %s mapper", async (type) => {
  const golden = await goldenTensors("tiny", `clipcap_${type}.safetensors`);
  const file = await canonicalNames(await goldenTensors("tiny", `tiny-clipcap-${type}`, "model.safetensors"));

  async function run(file: TensorFile, finetune: boolean, ignored?: number) {
    const [K, clipWidth, C, B, T] = [4, 48, 64, 4, 12];
    const config: MapperConfig =
      type === "mlp"
        ? { type, prefixLength: K, clipWidth, gptWidth: C }
        : { type, prefixLength: K, clipLength: 3, clipWidth, gptWidth: C, layers: 2, heads: 8 };
    const mapperLoader = new WeightLoader(device, file, trained());
    const gptLoader = new WeightLoader(device, file, finetune ? trained() : frozen);
    const model = {
      mapper: await loadMapper(mapperLoader, config),
      gpt2: await loadGpt2(gptLoader, parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json"))),
    };
    const ids = Array.from(await readI32(golden, "tokens"));
    const lengths = Array.from(await readI32(golden, "lengths"));
    const captions = lengths.map((n, b) => ({ gpt2: ids.slice(b * T, b * T + n), clip: [] }));
    const labels = countLabels(captions, ignored);
    const packed = packBatch(captions, B, new Float32Array(), {
      ...{ prefixLength: K, maxTokens: T, maxTextTokens: 0 },
      ...{ weight: 1 / labels, ignored },
    });

    const p = new Program(device, "caption training");
    const batch = captionBatch(p, { batch: B, tokens: T, labels: packed.shape.labels });
    device.write(batch.ids, packed.ids);
    device.write(batch.rows, packed.rows);
    device.write(batch.targets, packed.targets);
    device.write(batch.weights, packed.weights);
    const clip = leaf(p, "clip_embedding", [B, clipWidth], await golden.readF32("clip_embedding"));
    const loss = captionLoss(p, model, clip, batch);
    p.keep(loss);
    p.backward(loss, upload(p, "one", [1], [1]));
    await p.compile();
    const [value] = await p.run({ accumulate: 0 }, [loss]).f32();
    const got = await gradients([...mapperLoader.loaded, ...(finetune ? gptLoader.loaded : [])]);
    const squares = [...got.values()].reduce((sum, grad) => grad.reduce((s, g) => s + g * g, sum), 0);
    got.set("clip_embedding", new Float32Array(await device.read(gradOf(clip))));
    return { loss: value!, labels, norm: Math.sqrt(squares), got, dispatches: p.dispatches.length };
  }

  const expected = losses[`clipcap_${type}`];

  test("fine-tuned: loss and all gradients; frozen: the mapper's are the same bits, GPT-2's cost nothing", async () => {
    const { loss, got, dispatches } = await run(file, true);
    expect(Math.abs(loss - expected.loss)).toBeLessThan(1e-4);
    const names = [...golden.tensors.keys()].filter((n) => n.startsWith("grad."));
    expect(names.length).toBeGreaterThan(30);
    for (const name of names) {
      const canonical = name.slice(5).replace("gpt.transformer.", "");
      expect(got.has(canonical), canonical).toBe(true);
      expectGradient(name, got.get(canonical)!, await golden.readF32(name));
    }
    const small = await run(file, false);
    expect(small.dispatches).toBeLessThan(dispatches - 30); // no weight gradient of GPT-2 is recorded
    for (const [name, grad] of small.got) expect(grad, name).toEqual(got.get(name));
  });

  test.each(["finetune", "frozen"] as const)(
    "%s: loss and gradient norm with token 0 learnt, and not",
    async (mode) => {
      const all = await run(file, mode === "finetune");
      const without = await run(file, mode === "finetune", 0);
      expect([all.labels, without.labels]).toEqual([expected.valid_tokens, expected.valid_tokens_ignore_id0]);
      expect(Math.abs(all.loss - expected.loss)).toBeLessThan(1e-4);
      expect(Math.abs(without.loss - expected.loss_ignore_id0)).toBeLessThan(1e-4);
      const { grad_norm, grad_norm_ignore_id0 } = expected[mode];
      expect(Math.abs(all.norm / grad_norm - 1)).toBeLessThan(5e-4);
      expect(Math.abs(without.norm / grad_norm_ignore_id0 - 1)).toBeLessThan(5e-4);
    },
  );
});
