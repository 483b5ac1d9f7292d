/** What a run takes and makes, on the device: tiny networks on drawn scenes, through the code that `clipcap train` runs. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../src/runtime/device.js";
import { planningDevice } from "../../src/runtime/planning.js";
import { elements } from "../../src/runtime/tensor.js";
import { parseTrainConfig } from "../../src/train/config.js";
import type { ImageInput } from "../../src/train/images.js";
import { openTrainingData } from "../../src/train/node-data.js";
import { Encoder, embeddingsInput } from "../../src/train/node-embed.js";
import { openNetworks } from "../../src/train/node-networks.js";
import { trainingParts } from "../../src/train/node-parts.js";
import { planRun } from "../../src/train/node-plan.js";
import { Training } from "../../src/train/training.js";
import { tinyConfig, tinyFrozen } from "../e2e/tiny-run.js";
import { testDevice } from "./harness.js";

type Fields = Parameters<typeof tinyConfig>[0];

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

async function open(json: ReturnType<typeof tinyConfig>) {
  const config = parseTrainConfig(json, "test");
  return { config, networks: await openNetworks(config), data: await openTrainingData(config) };
}

/** Embeddings as if CLIP had made them. */
function madeUp(images: readonly { readonly id: string }[], width: number): ImageInput {
  const vectors = images.map(({ id }, i) => [
    id,
    Float32Array.from({ length: width }, (_, k) => Math.sin(i * width + k)),
  ]);
  return embeddingsInput(new Map(vectors as [string, Float32Array][]), images as never, { width, f16: false });
}

/** A run on `on`, from nothing. */
async function create(json: ReturnType<typeof tinyConfig>, on = device): Promise<Training> {
  const { config, networks, data } = await open(json);
  const input = (set: typeof data.train) => madeUp(set, networks.clip.config.vision.projection);
  const embeddings = config.train.includes("clip") ? undefined : { train: input(data.train), dev: input(data.dev) };
  return Training.create(on, trainingParts(config, networks, data, embeddings));
}

/** Updates first to end - 1, two of them under way as in a run; their losses. */
async function steps(training: Training, first: number, end: number): Promise<number[]> {
  const losses: number[] = [];
  let before: Awaited<ReturnType<Training["submit"]>> | undefined;
  for (let step = first; step < end; step++) {
    const next = await training.submit(step);
    if (before) losses.push((await before.pending.result()).total);
    before = next;
  }
  losses.push((await before!.pending.result()).total);
  return losses;
}

async function valuesOf({ model: { store } }: Training): Promise<Map<string, Float32Array>> {
  const out = new Map<string, Float32Array>();
  for (const { name } of store.parameters) {
    for (const kind of ["value", "m", "v"] as const) out.set(`${kind} ${name}`, await store.read(name, kind));
  }
  return out;
}

describe("a steady run", () => {
  it("creates no buffer, bind group or pipeline in two epochs of many shapes, and takes no more memory", async () => {
    const scenes = { train: 120, dev: 5, size: 32 };
    const training = await create(
      tinyConfig({ epochs: 2, steps: null, pool: 4, data: { source: "scenes", scenes, captions: 2 } }),
    );
    const { bindGroups, pipelines } = device.counters;
    const { activations } = device.memory().byLabel;
    const look = async () => [await training.validate(), await training.captionsOf(training.devImages())];
    await steps(training, 0, 2);
    await look();
    const { buffers, submits } = device.counters;
    const { used } = device.memory();
    const losses = await steps(training, 2, training.totalSteps);
    expect(device.counters.submits - submits).toBe(2 * 58); // a step and its update
    await look();
    expect(losses.length).toBe(58);
    expect(losses.every(Number.isFinite)).toBe(true);
    const after = device.counters;
    expect({ ...after, dispatches: 0, submits: 0 }).toEqual({
      buffers,
      bindGroups,
      pipelines,
      dispatches: 0,
      submits: 0,
    });
    await valuesOf(training); // what a checkpoint and an export do
    expect(device.counters.buffers).toBe(buffers);
    expect(device.memory().used).toBe(used);
    expect(device.memory().byLabel.activations).toBe(activations);
    training.free();
    expect(device.memory().byLabel.activations).toBeUndefined();
  });

  it("two of them make the same bits, dropout included", async () => {
    const results = [];
    for (let run = 0; run < 2; run++) {
      const training = await create(tinyConfig({ dropout: 0.2 }));
      await steps(training, 0, 6);
      results.push(await valuesOf(training));
      training.free();
    }
    const [a, b] = results;
    expect(a!.size).toBe(b!.size);
    for (const [name, values] of a!) {
      const differing = values.findIndex((value, i) => value !== b!.get(name)![i]);
      expect(differing, name).toBe(-1);
    }
  });

  it("micro-batches have the losses of the whole batch", async () => {
    const losses = [];
    for (const micro_batch of [4, 2, 1]) {
      const training = await create(tinyFrozen({ train: ["mapper", "gpt2"], micro_batch }));
      losses.push(await steps(training, 0, 4));
      training.free();
    }
    const [whole, ...others] = losses;
    for (const other of others) {
      for (const [i, loss] of other.entries()) expect(Math.abs(loss - whole![i]!)).toBeLessThan(2e-5);
    }
  });
});

it("CLIP's temperature is learnt, up to a scale of 100", async () => {
  const training = await create(tinyConfig());
  const { store } = training.model;
  const scaleAfterStep = async (start: number) => {
    store.write("logit_scale", Float32Array.of(start));
    await steps(training, 2, 3); // behind the warm-up, which begins at 0
    return (await store.read("logit_scale"))[0]!;
  };
  expect(await scaleAfterStep(5)).toBe(Math.fround(Math.log(100)));
  const learnt = await scaleAfterStep(4.5);
  expect(learnt).not.toBe(4.5);
  expect(Math.abs(learnt - 4.5)).toBeLessThan(0.01);
  training.free();
});

it("a frozen GPT-2 has no gradients in memory, and their work is not done", async () => {
  const work = async (train: readonly string[]) => {
    const training = await create(tinyFrozen({ train }));
    const { gradients } = device.memory().byLabel;
    const { flops } = training.trainer;
    await steps(training, 0, 1);
    const before = device.counters.dispatches;
    await training.validate();
    const forward = device.counters.dispatches - before;
    await steps(training, 0, 1);
    const dispatches = device.counters.dispatches - before - forward;
    const sizes = training.model.store.parameters.map(({ name, shape }) => [name, elements(shape)] as const);
    training.free();
    return { gradients: gradients!, flops, dispatches, forward, sizes };
  };
  const frozen = await work(["mapper"]);
  const tuned = await work(["mapper", "gpt2"]);
  expect(frozen.sizes.map(([name]) => name).every((name) => name.startsWith("clip_project."))).toBe(true);
  const bytes = frozen.sizes.reduce((sum, [, size]) => sum + 256 * Math.ceil((4 * size) / 256), 0);
  expect(frozen.gradients).toBe(bytes);
  expect(frozen.dispatches).toBeLessThan(tuned.dispatches - 20);
  expect(frozen.flops).toBeLessThan(0.8 * tuned.flops);
  // Validation keeps no tape: a forward pass, and the sums of the losses.
  expect(tuned.forward).toBeLessThan(0.5 * tuned.dispatches);
  expect(frozen.forward).toBeLessThan(0.5 * frozen.dispatches);
});

it("the contrastive loss of validation counts pictures, also those of a ragged last micro-batch", async () => {
  const json = tinyConfig({
    loss: { contrastive: 0.3 },
    batch: 8,
    micro_batch: 4,
    data: { source: "scenes", scenes: { train: 40, dev: 7, size: 32 } },
  });
  const { config, networks, data } = await open(json);
  /** Of some of the pictures with their first captions. */
  const loss = async (from: number, to: number) => {
    const dev = data.dev.slice(from, to).map((image) => ({
      ...{ id: image.id, split: image.split, captions: image.captions.slice(0, 1) },
      ...{ decode: () => image.decode(), stamp: () => image.stamp() },
    }));
    const training = await Training.create(device, trainingParts(config, networks, { ...data, dev }, undefined));
    const { contrastive } = (await training.validate())!;
    training.free();
    return contrastive!;
  };
  const [four, three] = [await loss(0, 4), await loss(4, 7)];
  expect(Math.abs(four - three)).toBeGreaterThan(0.1);
  expect(Math.abs((await loss(0, 7)) - (4 * four + 3 * three) / 7)).toBeLessThan(1e-5);
  expect(await loss(0, 5)).toBe(four); // one picture has nothing to be compared with
});

describe("the plan of a run is what it takes", () => {
  const transformer = { type: "transformer", prefix_length: 2, num_layers: 1 };
  const cases: [string, Fields][] = [
    ["mlp, GPT-2 frozen", {}],
    ["mlp, GPT-2 fine-tuned", { train: ["mapper", "gpt2"], dropout: 0.1, micro_batch: 2 }],
    ["transformer, GPT-2 frozen", { mapper: transformer }],
    ["transformer, GPT-2 fine-tuned", { mapper: transformer, train: ["mapper", "gpt2"] }],
    ["CLIP trained", { train: ["clip", "mapper", "gpt2"], loss: { contrastive: 0.2 } }],
  ];
  it.each(cases)("%s", async (_, fields) => {
    const json = tinyFrozen(fields);
    const on = await testDevice({ limits: "default" });
    const { config, networks, data } = await open(json);
    const decode = () => Promise.reject(new Error("a plan reads no picture"));
    const unread = (images: typeof data.train) =>
      images.map(({ id, captions, split, group, stamp }) => ({
        ...{ id, captions, split, stamp, decode },
        ...(group !== undefined && { group }),
      }));
    const unseen = { ...data, train: unread(data.train), dev: unread(data.dev) };
    const plan = await planRun(planningDevice(on), config, networks, unseen);
    if (!config.train.includes("clip")) {
      const encoder = await Encoder.create(on, networks.clip);
      await encoder.embed([new Float32Array(3 * 32 * 32)]);
      encoder.free();
    }
    const training = await create(json, on);
    await steps(training, 0, training.totalSteps);
    await training.validate();
    await training.captionsOf(training.devImages());
    await valuesOf(training);
    const { peak } = on.memory();
    expect(peak).toBeLessThanOrEqual(plan.peakBytes);
    expect(peak).toBeGreaterThan(0.95 * plan.peakBytes);
    const { parameters, gradients, moments } = on.memory().byLabel;
    expect(plan.bytes).toMatchObject({ parameters, gradients, moments });
    training.free();
    on.close();
  });
});
