// This project's side of every comparison.
import { attention, packedQkv } from "../../src/kernels/attention/attention.js";
import { crossEntropyOfLogits } from "../../src/kernels/crossentropy/crossentropy.js";
import { layerNorm } from "../../src/kernels/layernorm/layernorm.js";
import { linear, matmul } from "../../src/kernels/matmul/matmul.js";
import { softmax } from "../../src/kernels/softmax/softmax.js";
import { type BlockWeights, block, selfAttention } from "../../src/models/block.js";
import { clipVision, loadClipVision } from "../../src/models/clip.js";
import { Generator, type Strategy } from "../../src/models/generate.js";
import { loadGpt2 } from "../../src/models/gpt2.js";
import { listWeights, WeightLoader } from "../../src/models/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { packBatch } from "../../src/train/batch.js";
import { type ModelSources, TrainingModel } from "../../src/train/model.js";
import { recordAdamW } from "../../src/train/optimizer.js";
import { ParameterStore } from "../../src/train/parameters.js";
import { Trainer } from "../../src/train/trainer.js";
import { parseGpt2Config } from "../../src/weights/config.js";
import { gpt2Shapes } from "../../src/weights/shapes.js";
import { syntheticFile } from "../../src/weights/synthetic.js";
import {
  ADAM,
  C,
  type CaptionStep,
  type Case,
  GPT2,
  gpt2File,
  H,
  inputOf,
  MAPPER,
  mapperFile,
  matmulWeight,
  mlpWeights,
  normWeights,
  SEED,
  targetsOf,
  transposed,
  type Values,
  VISION,
  visionFile,
} from "./cases.js";
import type { Library, Prepared } from "./library.js";

const NOTHING = () => {};

const { lr: LR, beta1, beta2, eps } = ADAM;
const OPTIMIZER = { variant: "torch", beta1, beta2, eps, weightDecay: 0 } as const;

/** GPT-2 small cut down to its first block; the embeddings that a block does not read are small. */
const ONE_BLOCK = parseGpt2Config({ n_layer: 1, vocab_size: 64, n_positions: 64 });
const oneBlockFile = syntheticFile(gpt2Shapes(ONE_BLOCK), "full", SEED);

export function open(device: Device): Library {
  return { name: "clipcap-webgpu", prepare: (c) => prepare(device, c) };
}

function prepare(device: Device, c: Case): Promise<Prepared> {
  switch (c.type) {
    case "matmul": {
      const weight = upload(device, "w", transposed(matmulWeight(c)));
      const free = () => device.free(weight);
      return forward(device, c, free, (p, x) => matmul(p, x, weight, { layout: "nt", label: "matmul" }));
    }
    case "layernorm": {
      const [scale, shift] = normWeights(c.columns).map((w, i) => upload(device, `w${i}`, w)) as [Tensor, Tensor];
      const o = { eps: GPT2.eps, label: "norm" };
      const free = () => [scale, shift].map((w) => device.free(w));
      return forward(device, c, free, (p, x) => layerNorm(p, x, scale, shift, o));
    }
    case "softmax":
      return forward(device, c, NOTHING, (p, x) => softmax(p, x, { label: "softmax" }));
    case "attention":
      return forward(device, c, NOTHING, (p, x) => {
        const o = { batch: 1, queries: c.T, keys: c.T, heads: H, headSize: C / H, causal: true, label: "attention" };
        return attention(p, ...packedQkv(x, 1, c.T, H), o);
      });
    case "block":
      return oneBlock(device, c, c.T);
    case "encode":
      return encode(device, c);
    case "decode":
      return decode(device, c);
    case "mlp-step":
      return mlpStep(device, c);
    case "block-step":
      return blockStep(device, c, c.T);
    case "caption-step":
      return captionStep(device, c);
  }
}

/** A program with one input and one result. */
async function forward(
  device: Device,
  c: Case,
  free: () => unknown,
  record: (p: Program, x: Tensor) => Tensor,
): Promise<Prepared> {
  const { shape, data } = inputOf(c);
  const p = new Program(device, c.type, { gradients: false });
  const x = p.persistent("x", shape);
  const y = record(p, x);
  p.keep(y);
  await p.compile();
  const call = () => {
    device.write(x, data);
    return p.run({}, [y]).f32();
  };
  const close = () => {
    p.destroy();
    free();
  };
  return { call, close };
}

async function oneBlock(device: Device, c: Case, T: number): Promise<Prepared> {
  const loader = new WeightLoader(device, oneBlockFile, { dtype: "f32", account: "block" });
  const { blocks } = await loadGpt2(loader, ONE_BLOCK);
  return forward(
    device,
    c,
    () => loader.free(),
    (p, x) => recordBlock(p, x, blocks[0]!, T),
  );
}

function recordBlock(p: Program, x: Tensor, weights: BlockWeights, T: number): Tensor {
  return block(p, x, weights, { ...GPT2, dropout: undefined, label: "block" }, selfAttention(p, ATTEND(T)));
}

const ATTEND = (tokens: number) => ({ batch: 1, tokens, heads: H, causal: true });

async function encode(device: Device, c: Case): Promise<Prepared> {
  const loader = new WeightLoader(device, visionFile, { dtype: "f32", account: "clip" });
  const vision = await loadClipVision(loader, VISION);
  return forward(
    device,
    c,
    () => loader.free(),
    (p, x) => clipVision(p, vision, x).embeds,
  );
}

const BEAM: Strategy = { type: "beam", rule: "mean", temperature: 1, alpha: 1 };

/** The call gives the token ids of every beam, the best first. */
async function decode(device: Device, c: Extract<Case, { type: "decode" }>): Promise<Prepared> {
  const loader = new WeightLoader(device, gpt2File, { dtype: "f32", account: "gpt2" });
  const gpt2 = await loadGpt2(loader, { ...GPT2, layers: c.layers });
  const { shape, data } = inputOf(c);
  const prefix = device.tensor("prefix", shape);
  const fixed = { images: 1, prompt: [], stop: [], repetitionPenalty: 1, noRepeatNgram: 0 };
  const strategy = c.beams > 1 ? BEAM : ({ type: "greedy" } as const);
  const options = { ...fixed, width: c.beams, maxTokens: c.tokens, strategy };
  const generator = await Generator.create(device, gpt2, c.prefix, options, () => prefix);
  const call = async () => {
    device.write(prefix, data);
    const captions = await generator.run({ seed: 0 });
    return Float32Array.from(captions[0]!.flatMap(({ tokens }) => tokens));
  };
  const close = () => {
    generator.destroy();
    device.free(prefix);
    loader.free();
  };
  return { call, close };
}

async function mlpStep(device: Device, c: Extract<Case, { type: "mlp-step" }>): Promise<Prepared> {
  const weights = mlpWeights(c).map(transposed);
  const store = ParameterStore.create(
    device,
    weights.map(({ shape }, i) => ({ name: `w${i}`, shape, decay: false })),
  );
  for (const [i, { data }] of weights.entries()) store.write(`w${i}`, data);
  return trainingStep(device, c, store, [], (p, x) => {
    const h = linear(p, x, store.tensor("w0"), { activation: "relu", label: "fc1" });
    return linear(p, h, store.tensor("w1"), { label: "fc2" });
  });
}

async function blockStep(device: Device, c: Case, T: number): Promise<Prepared> {
  const listed = await listWeights(device, oneBlockFile, (w) => loadGpt2(w, ONE_BLOCK));
  const trained = listed.map(({ tensor }) => tensor).filter(({ label }) => label.startsWith("h.0."));
  const store = ParameterStore.create(
    device,
    trained.map(({ label: name, shape }) => ({ name, shape, decay: false })),
  );
  const frozen: Tensor[] = [];
  const allocate = (label: string, shape: readonly number[]) => {
    if (label.startsWith("h.0.")) return store.tensor(label);
    frozen.push(device.tensor(label, shape));
    return frozen.at(-1)!;
  };
  const loader = new WeightLoader(device, oneBlockFile, { dtype: "f32", account: "block", allocate });
  const { blocks } = await loadGpt2(loader, ONE_BLOCK);
  return trainingStep(device, c, store, frozen, (p, x) => recordBlock(p, x, blocks[0]!, T));
}

/** Forward, mean cross-entropy of the rows `record` gives, backward, Adam. */
async function trainingStep(
  device: Device,
  c: Case,
  store: ParameterStore,
  others: readonly Tensor[],
  record: (p: Program, x: Tensor) => Tensor,
): Promise<Prepared> {
  const { shape, data } = inputOf(c);
  const p = new Program(device, c.type);
  const x = p.persistent("x", shape);
  const classes = targetsOf(c);
  const targets = p.persistent("targets", [classes.length], "u32");
  device.write(targets, Uint32Array.from(classes));
  const one = p.persistent("one", [1]);
  device.write(one, Float32Array.of(1));
  const { loss } = crossEntropyOfLogits(p, record(p, x), targets, { label: "loss" });
  p.keep(loss);
  p.backward(loss, one);
  recordAdamW(p, store, { ...OPTIMIZER, label: "adam" });
  await p.compile();
  let t = 0;
  const call = () => {
    device.write(x, data);
    return p.run({ accumulate: 0, lr: LR, t: ++t }, [loss]).f32();
  };
  const close = () => {
    p.destroy();
    store.free();
    for (const tensor of others) device.free(tensor);
  };
  return { call, close };
}

/** As `clipcap train` makes it. */
async function captionStep(device: Device, c: CaptionStep): Promise<Prepared> {
  const sources: ModelSources = {
    mapper: { config: MAPPER, file: mapperFile, trained: true },
    gpt2: { config: GPT2, file: gpt2File, trained: false },
  };
  const networks = await TrainingModel.create(device, sources, { contrastive: false });
  const ids = Array.from(targetsOf(c));
  const texts = Array.from({ length: c.images }, (_, b) => ({
    gpt2: ids.slice(b * c.tokens, (b + 1) * c.tokens),
    clip: [],
  }));
  const limits = { prefixLength: MAPPER.prefixLength, maxTokens: c.tokens, maxTextTokens: 0 };
  const host = packBatch(texts, c.images, inputOf(c).data, { ...limits, weight: 1 / ids.length });
  const trainer = await Trainer.create(device, networks, {
    inputShape: [MAPPER.clipWidth],
    normalizePrefix: false,
    contrastive: 0,
    largest: host.shape,
    optimizer: OPTIMIZER,
    dropout: 0,
  });
  let t = 0;
  const call = async () => {
    const step = await trainer.step([host], { lr: LR, t: ++t, seeds: [0] });
    return Float32Array.of((await step.result()).total);
  };
  const close = () => {
    trainer.free();
    networks.free();
  };
  return { call, close };
}

function upload(device: Device, label: string, { shape, data }: Values): Tensor {
  const tensor = device.tensor(label, shape);
  device.write(tensor, data);
  return tensor;
}
