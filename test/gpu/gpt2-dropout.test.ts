/** Dropout of GPT-2 while it learns: where it is, which masks it draws, and the gradients under it. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { activationRef } from "../../src/kernels/activation/activation.ref.js";
import { attentionRef, type HeadsData } from "../../src/kernels/attention/attention.ref.js";
import { crossEntropyRef } from "../../src/kernels/crossentropy/crossentropy.ref.js";
import { dropoutMask, dropoutRef } from "../../src/kernels/dropout/dropout.ref.js";
import { embeddingRef } from "../../src/kernels/embedding/embedding.ref.js";
import { layerNormRef } from "../../src/kernels/layernorm/layernorm.ref.js";
import { matmulRef } from "../../src/kernels/matmul/matmul.ref.js";
import { addPositionsRef, concatRowsRef, pickRowsRef } from "../../src/kernels/rows/rows.ref.js";
import { loadGpt2 } from "../../src/models/gpt2.js";
import { loadMapper, type MlpMapper } from "../../src/models/mapper.js";
import { type LinearWeights, type NormWeights, WeightLoader } from "../../src/models/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { captionBatch, captionLoss, labelledRows } from "../../src/train/caption-loss.js";
import { parseGpt2Config } from "../../src/weights/config.js";
import { canonicalNames } from "../../src/weights/names.js";
import { goldenJson, goldenTensors } from "../goldens.js";
import { testDevice, upload, values } from "./harness.js";
import { TINY } from "./tiny.js";

const { prefix: K, clipWidth, width: C, vocab: V } = TINY;
const [B, T] = [2, 6];
const captions = [
  [3, 141, 59, 26, 5, 200],
  [9, 7, 93],
];
const { rows, targets } = labelledRows(captions, { prefixLength: K, tokens: T });
const ids = captions.flatMap((caption) => Array.from({ length: T }, (_, t) => caption[t] ?? 0));
const clip = values("clip", B * clipWidth);

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

async function loadModel() {
  const file = await canonicalNames(await goldenTensors("tiny", "tiny-clipcap-mlp", "model.safetensors"));
  const loader = new WeightLoader(device, file, {
    dtype: "f32",
    account: "test",
    allocate: (label, shape) => device.tensor(label, shape, "f32", { requiresGrad: true }),
  });
  const config = { type: "mlp", prefixLength: K, clipWidth, gptWidth: C } as const;
  const mapper = (await loadMapper(loader, config)) as MlpMapper;
  const gpt2 = await loadGpt2(loader, parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json")));
  return { model: { mapper, gpt2 }, tensors: loader.loaded.map(({ tensor }) => tensor) };
}
type Model = Awaited<ReturnType<typeof loadModel>>["model"];

/** The program of a training step, whose seed is a scalar. */
async function record(model: Model, rate?: number): Promise<{ p: Program; loss: Tensor }> {
  const p = new Program(device, "step");
  const batch = captionBatch(p, { batch: B, tokens: T, labels: rows.length });
  device.write(batch.ids, Uint32Array.from(ids));
  device.write(batch.rows, Uint32Array.from(rows));
  device.write(batch.targets, Uint32Array.from(targets));
  device.write(batch.weights, new Float32Array(rows.length).fill(1 / rows.length));
  const dropout = rate === undefined ? undefined : { rate, seed: p.scalar("seed") };
  const loss = captionLoss(p, model, upload(p, "clip", [B, clipWidth], clip), batch, { dropout });
  p.keep(loss);
  p.backward(loss, upload(p, "one", [1], [1]));
  await p.compile();
  return { p, loss };
}

type Values = (t: Tensor) => ArrayLike<number>;

/** The loss in f64, written after Hugging Face's GPT-2: embd_pdrop, attn_pdrop and resid_pdrop at every place of its own. */
function lossRef({ mapper, gpt2 }: Model, of: Values, rate: number, seed: number): number {
  const linear = (x: ArrayLike<number>, w: LinearWeights) => {
    const [N, M] = [w.weight.shape[0]!, x.length / w.weight.shape[1]!];
    const bias = w.bias && of(w.bias);
    return matmulRef(x, of(w.weight), { layout: "nt", M, K: w.weight.shape[1]!, N }, { bias });
  };
  const norm = (x: ArrayLike<number>, w: NormWeights) => layerNormRef(x, of(w.weight), of(w.bias), gpt2.config.eps);
  const drop = (x: ArrayLike<number>, site: number) => dropoutRef(x, dropoutMask(x.length, rate, seed, site), rate);
  const plus = (x: ArrayLike<number>, y: ArrayLike<number>) => Float64Array.from(x, (v, i) => v + y[i]!);
  const attend = (qkv: Float64Array, site: number) => {
    const { heads } = gpt2.config;
    const shape = { batch: B, queries: K + T, keys: K + T, heads, headSize: C / heads, causal: true };
    const keep = dropoutMask(B * heads * (K + T) ** 2, rate, seed, site);
    const part = (i: number): HeadsData => {
      return { data: qkv, offset: i * C, row: 3 * C, batch: (K + T) * 3 * C, head: C / heads };
    };
    return attentionRef(part(0), part(1), part(2), { ...shape, dropped: { rate, keep } });
  };

  const prefix = linear(activationRef(linear(clip, mapper.fc1), "tanh"), mapper.fc2);
  const joined = concatRowsRef(prefix, embeddingRef(ids, of(gpt2.wte), C), B, false);
  let x = drop(addPositionsRef(joined, of(gpt2.wpe), C, 0, K + T), 0);
  for (const [i, w] of gpt2.blocks.entries()) {
    const site = 1 + 3 * i;
    x = plus(x, drop(linear(attend(linear(norm(x, w.norm1), w.qkv), site), w.project), site + 1));
    x = plus(x, drop(linear(activationRef(linear(norm(x, w.norm2), w.fc1), gpt2.config.activation), w.fc2), site + 2));
  }
  const logits = linear(pickRowsRef(norm(x, gpt2.finalNorm), C, rows), { weight: gpt2.wte });
  return crossEntropyRef(logits, targets, V).reduce((sum, l) => sum + l, 0) / targets.length;
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, v, i) => sum + v * b[i]!, 0);

it("loss, and the gradient of every parameter along a random direction, as the f64 model says", async () => {
  const { model, tensors } = await loadModel();
  const [rate, seed] = [0.3, 11];
  const { p, loss } = await record(model, rate);
  const [value] = await p.run({ accumulate: 0, seed }, [loss]).f32();

  const read = async (t: Tensor) => new Float32Array(await device.read(t));
  const parameters = new Map(await Promise.all(tensors.map(async (t) => [t, await read(t)] as const)));
  const of: Values = (t) => parameters.get(t)!;
  expect(Math.abs(value! - lossRef(model, of, rate, seed))).toBeLessThan(1e-5);

  const h = 1e-4;
  for (const tensor of tensors) {
    const direction = values(tensor.label, tensor.size);
    const moved = (by: number): Values => {
      const there = Float64Array.from(of(tensor), (v, i) => v + by * direction[i]!);
      return (t) => (t === tensor ? there : of(t));
    };
    const slope = (lossRef(model, moved(h), rate, seed) - lossRef(model, moved(-h), rate, seed)) / (2 * h);
    const grad = await read(gradOf(tensor));
    const scale = Math.sqrt(dot(grad, grad) * dot(direction, direction));
    expect(Math.abs(dot(grad, direction) - slope), tensor.label).toBeLessThan(1e-5 * scale);
  }
  p.destroy();
});

it("the same seed gives the same bits, another seed another loss", async () => {
  const { model } = await loadModel();
  const { p, loss } = await record(model, 0.1);
  const at = async (seed: number) => (await p.run({ accumulate: 0, seed }, [loss]).f32())[0]!;
  const [first, other, again] = [await at(1), await at(2), await at(1)];
  expect(again).toBe(first);
  expect(Math.abs(other - first)).toBeGreaterThan(1e-3);
  p.destroy();
});

it("has a site for each of its dropouts, 3 in each block and 1 before them, and no trace at rate 0", async () => {
  const { model } = await loadModel();
  const dropped = await record(model, 0.1);
  const sites = dropped.p.dispatches.filter((d) => "site" in d.uniforms && !d.label.startsWith("d "));
  expect(sites.map((d) => `${d.label} ${d.uniforms.site}`)).toEqual([
    "gpt2.dropout 0",
    "gpt2.h0.attention 1",
    "gpt2.h0.project.dropout 2",
    "gpt2.h0.fc2.dropout 3",
    "gpt2.h1.attention 4",
    "gpt2.h1.project.dropout 5",
    "gpt2.h1.fc2.dropout 6",
  ]);
  const [none, zero] = [await record(model), await record(model, 0)];
  const names = ({ p }: { p: Program }) => p.dispatches.map((d) => `${d.label}: ${d.kernel.name}`);
  expect(names(zero)).toEqual(names(none));
  for (const { p } of [dropped, none, zero]) p.destroy();
});

function gradOf(t: Tensor): Tensor {
  if (t.storage.kind !== "buffers" || !t.storage.grad) throw new Error(`${t.label} has no gradient`);
  return t.storage.grad;
}
