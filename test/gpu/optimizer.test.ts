import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { crossEntropy } from "../../src/kernels/crossentropy/crossentropy.js";
import { embedding } from "../../src/kernels/embedding/embedding.js";
import { linear } from "../../src/kernels/matmul/matmul.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { ADAMW_DEFAULTS, type AdamWOptions, recordAdamW } from "../../src/train/optimizer.js";
import { type ParameterKind, ParameterStore } from "../../src/train/parameters.js";
import { nmse, testDevice, upload, values } from "./harness.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

const WIDTH = 64;
const VOCABULARY = 100;
const PARAMETERS = [
  { name: "wte", shape: [VOCABULARY, WIDTH], decay: true },
  { name: "fc.bias", shape: [WIDTH], decay: false },
  { name: "fc.weight", shape: [WIDTH, WIDTH], decay: true },
] as const;
const KINDS: readonly ParameterKind[] = ["value", "grad", "m", "v"];
const TORCH = { ...ADAMW_DEFAULTS.torch, label: "adamw" };

function filledStore(on: Device): ParameterStore {
  const store = ParameterStore.create(on, PARAMETERS);
  for (const { name, shape } of PARAMETERS)
    store.write(
      name,
      values(
        name,
        shape.reduce((a, b) => a * b, 1),
        0.3,
      ),
    );
  return store;
}

/** A tiny model with a tied table: tokens -> the next ones, and its backward pass. */
async function training(store: ParameterStore, rows: number, weight: number) {
  const p = new Program(store.device, `model ${rows}`);
  const ids = p.persistent("ids", [rows], "u32");
  const targets = p.persistent("targets", [rows], "u32");
  const wte = store.tensor("wte");
  const x = embedding(p, ids, wte, { label: "x" });
  const options = { bias: store.tensor("fc.bias"), activation: "tanh", label: "h" } as const;
  const h = linear(p, x, store.tensor("fc.weight"), options);
  const { loss } = crossEntropy(p, h, wte, targets, { weights: weight, label: "loss" });
  p.keep(loss);
  p.backward(loss, upload(p, "dloss", [1], [1]));
  await p.compile();
  const run = (first: number, accumulate: 0 | 1) => {
    const batch = Uint32Array.from({ length: rows }, (_, i) => ((first + i) * 7) % VOCABULARY);
    store.device.write(ids, batch);
    store.device.write(
      targets,
      batch.map((id) => (id + 3) % VOCABULARY),
    );
    return p.run({ accumulate }, [loss]).f32();
  };
  return { p, run };
}

async function optimizer(store: ParameterStore, options: AdamWOptions = TORCH) {
  const p = new Program(store.device, "optimizer");
  const norm = recordAdamW(p, store, options);
  await p.compile();
  return { p, run: (t: number, lr = 0.01) => p.run({ lr, t }, [norm, store.skips]).get() };
}

/** Every bit that training changes: the flat buffers, padding included, and the counters. */
async function bitsOf(store: ParameterStore): Promise<Uint32Array[]> {
  const flat = store.slabs.flatMap((slab) => KINDS.map((kind) => slab[kind]));
  const bits: Uint32Array[] = [];
  for (const tensor of flat) bits.push(new Uint32Array(await store.device.read(tensor)));
  return bits;
}

async function grads(store: ParameterStore): Promise<Float32Array[]> {
  return Promise.all(PARAMETERS.map(({ name }) => store.read(name, "grad")));
}

describe("ParameterStore", () => {
  it("reads back by name what was written, and nothing else changes", async () => {
    const store = filledStore(device);
    for (const kind of KINDS) store.write("fc.bias", values(kind, WIDTH), kind);
    for (const kind of KINDS) expect(await store.read("fc.bias", kind)).toEqual(values(kind, WIDTH));
    expect(await store.read("wte")).toEqual(values("wte", VOCABULARY * WIDTH, 0.3));
    expect((await store.read("fc.weight", "m")).every((x) => x === 0)).toBe(true);
    expect(() => store.write("wte", new Float32Array(3))).toThrow("3 values for wte [100,64], which has 6400");
    expect(() => store.tensor("wpe")).toThrow("wpe is none of the 3 parameters in training");
    store.free();
  });

  it("counts its bytes by kind and gives all back", () => {
    const before = device.memory().byLabel;
    const store = filledStore(device);
    const bytes = 4 * (VOCABULARY * WIDTH + WIDTH + WIDTH * WIDTH);
    expect(device.memory().byLabel).toEqual({
      ...before,
      parameters: bytes,
      gradients: bytes,
      moments: 2 * bytes + 16,
    });
    store.free();
    expect(device.memory().byLabel).toEqual(before);
  });

  it("keeps nothing when memory does not suffice", async () => {
    const small = await testDevice({ limits: "default", maxMemory: 100_000 });
    const used = small.memory().used;
    expect(() => filledStore(small)).toThrow("of GPU memory");
    expect(small.memory().used).toBe(used);
    small.close();
  });
});

describe("training", () => {
  it("is the same to the bit in two runs, and learns", async () => {
    const run = async () => {
      const store = filledStore(device);
      const model = await training(store, 10, 1 / 10);
      const adam = await optimizer(store, { ...TORCH, maxNorm: 1 });
      const losses: number[] = [];
      for (let t = 1; t <= 20; t++) {
        losses.push((await model.run(0, 0))[0]!);
        await adam.run(t);
      }
      const bits = await bitsOf(store);
      for (const program of [model.p, adam.p]) program.destroy();
      store.free();
      return { losses, bits };
    };
    const [first, second] = [await run(), await run()];
    expect(first.losses.at(-1)).toBeLessThan(0.1 * first.losses[0]!);
    expect(second).toEqual(first);
  });

  it("sums the gradients of micro-batches to that of the batch", async () => {
    const store = filledStore(device);
    const whole = await training(store, 12, 1 / 12);
    await whole.run(0, 0);
    const expected = await grads(store);
    const third = await training(store, 4, 1 / 12);
    for (const [i, accumulate] of ([0, 1, 1] as const).entries()) await third.run(4 * i, accumulate);
    for (const [i, grad] of (await grads(store)).entries()) expect(nmse(grad, expected[i]!)).toBeLessThan(1e-12);
    for (const program of [whole.p, third.p]) program.destroy();
    store.free();
  });

  it("is the same with a table split over two buffers", async () => {
    // a device whose bindings hold 16 KiB, as much as the matrix takes; the table takes 25
    const limits = { ...device.limits, maxBindingBytes: 16_384 };
    const narrow = Object.create(device, { limits: { value: limits } }) as Device;
    const state: Float32Array[][] = [];
    for (const [on, slabs] of [
      [device, 2],
      [narrow, 4],
    ] as const) {
      const store = filledStore(on);
      expect(store.slabs).toHaveLength(slabs);
      const model = await training(store, 10, 1 / 10);
      const adam = await optimizer(store, { ...TORCH, maxNorm: 0.5 });
      for (let t = 1; t <= 3; t++) {
        await model.run(t, 0);
        const [norm] = await adam.run(t);
        expect(norm![1]).toBeLessThan(1); // clipped by the norm over all buffers
      }
      state.push(await Promise.all(PARAMETERS.map(({ name }) => store.read(name))));
      for (const program of [model.p, adam.p]) program.destroy();
      store.free();
    }
    for (const [i, value] of state[0]!.entries()) expect(nmse(state[1]![i]!, value)).toBeLessThan(1e-10);
  });

  it("creates no buffer, bind group or pipeline in a steady step, and memory stays", async () => {
    const store = filledStore(device);
    const model = await training(store, 10, 1 / 10);
    const adam = await optimizer(store, { ...TORCH, maxNorm: 1 });
    await model.run(0, 0);
    await adam.run(1);
    const { buffers, bindGroups, pipelines } = device.counters;
    const memory = device.memory();
    for (let t = 2; t <= 100; t++) {
      await model.run(t, 0);
      await adam.run(t);
    }
    expect(device.counters).toMatchObject({ buffers, bindGroups, pipelines });
    expect(device.memory()).toEqual(memory);
    for (const program of [model.p, adam.p]) program.destroy();
    store.free();
  });
});

describe("a gradient or loss that is not finite", () => {
  const wrong: [string, (store: ParameterStore) => void][] = [
    ["NaN", (s) => s.write("fc.bias", values("g", WIDTH).fill(Number.NaN, 7, 8), "grad")],
    ["infinity", (s) => s.write("wte", values("g", VOCABULARY * WIDTH).fill(Number.NEGATIVE_INFINITY, 6399), "grad")],
    ["a norm above f32", (s) => s.write("fc.weight", values("g", WIDTH * WIDTH, 3e38), "grad")],
  ];
  const good = (store: ParameterStore, t: number) => {
    for (const { name, shape } of PARAMETERS) {
      store.write(
        name,
        values(
          `${name}${t}`,
          shape.reduce((a, b) => a * b, 1),
          0.01,
        ),
        "grad",
      );
    }
  };

  it.each(wrong)("(%s) leaves every bit as it was, is counted, and counts for nothing", async (_, spoil) => {
    const [store, other] = [filledStore(device), filledStore(device)];
    const options = { ...TORCH, maxNorm: 1 };
    const [adam, plain] = [await optimizer(store, options), await optimizer(other, options)];
    for (const x of [store, other]) good(x, 1);
    await Promise.all([adam.run(1), plain.run(1)]);
    for (const t of [2, 3]) {
      spoil(store);
      const before = await bitsOf(store);
      const [norm, skips] = await adam.run(t);
      expect([...norm!, ...skips!]).toEqual([Number.POSITIVE_INFINITY, 0, t - 1, t - 1]);
      expect(await bitsOf(store)).toEqual(before);
    }
    for (const x of [store, other]) good(x, 4);
    const [[norm, skips]] = await Promise.all([adam.run(4), plain.run(2)]);
    expect(norm![0]).toBeGreaterThan(0);
    expect([...skips!]).toEqual([2, 0]);
    expect(await bitsOf(store)).toEqual(await bitsOf(other));
    for (const program of [adam.p, plain.p]) program.destroy();
    for (const x of [store, other]) x.free();
  });

  it("includes the loss", async () => {
    const store = filledStore(device);
    const p = new Program(device, "losses");
    const loss = upload(p, "loss", [3], [1, 2, 3]);
    const adam = await optimizer(store, { ...TORCH, loss });
    good(store, 1);
    const skips = async (t: number) => [...(await adam.run(t))[1]!];
    expect(await skips(1)).toEqual([0, 0]);
    const before = await bitsOf(store);
    device.write(loss, Float32Array.of(1, 2, Number.NaN));
    expect(await skips(2)).toEqual([1, 1]);
    device.write(loss, Float32Array.of(Number.NEGATIVE_INFINITY, 2, 3));
    expect(await skips(3)).toEqual([2, 2]);
    expect(await bitsOf(store)).toEqual(before);
    device.write(loss, Float32Array.of(1, 2, 3));
    expect(await skips(4)).toEqual([2, 0]);
    for (const program of [adam.p, p]) program.destroy();
    store.free();
  });
});

describe("recordAdamW", () => {
  it("decays only what is marked, and nothing moves at learning rate 0", async () => {
    const store = filledStore(device);
    const adam = await optimizer(store, { ...TORCH, weightDecay: 0.5 });
    const start = await Promise.all(PARAMETERS.map(({ name }) => store.read(name)));
    await adam.run(1, 0);
    for (const [i, { name }] of PARAMETERS.entries()) expect(await store.read(name)).toEqual(start[i]);
    await adam.run(2, 0.1); // without gradients
    for (const [i, { name, decay }] of PARAMETERS.entries()) {
      const expected = start[i]!.map((x) => (decay ? 0.95 * x : x));
      expect(nmse(await store.read(name), expected)).toBeLessThan(1e-13);
    }
    adam.p.destroy();
    store.free();
  });

  it.each<[Partial<AdamWOptions>, string]>([
    [{ beta1: 1 }, "beta1 1 must be from 0 to below 1"],
    [{ beta2: Number.NaN }, "beta2 NaN must be from 0 to below 1"],
    [{ eps: 0 }, "eps 0 must be at least 1e-30"],
    [{ weightDecay: -0.1 }, "weight decay -0.1 must not be negative"],
    [{ maxNorm: 0 }, "max norm 0 must be above 0"],
  ])("refuses %j", (wrong, message) => {
    const store = filledStore(device);
    expect(() => recordAdamW(new Program(device, "refused"), store, { ...TORCH, ...wrong })).toThrow(message);
    store.free();
  });
});
