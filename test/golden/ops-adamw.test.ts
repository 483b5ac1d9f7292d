import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AdamWHyper } from "../../src/kernels/adamw/adamw.js";
import { adamWRef } from "../../src/kernels/adamw/adamw.ref.js";
import { clipFactorRef, gradNormRef } from "../../src/kernels/gradnorm/gradnorm.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { recordAdamW } from "../../src/train/optimizer.js";
import { ParameterStore } from "../../src/train/parameters.js";
import { testDevice } from "../gpu/harness.js";
import { type OpCase, opCases, opInput, opStored } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

interface AdamWAttrs {
  readonly variant: AdamWHyper["variant"];
  readonly t: number;
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weight_decay: number;
}

function optionsOf(c: OpCase): AdamWHyper & { lr: number; t: number } {
  const { weight_decay, ...rest } = c.attrs as unknown as AdamWAttrs;
  return { ...rest, weightDecay: weight_decay };
}

/** Largest error of an element relative to itself or, where terms cancel, to the larger of it and its `terms`. */
function relativeError(got: ArrayLike<number>, expected: Float32Array, terms: ArrayLike<number> = expected): number {
  expect(got.length).toBe(expected.length);
  const size = (i: number) => Math.max(Math.abs(expected[i]!), Math.abs(terms[i]!), 1e-37);
  return expected.reduce((worst, x, i) => Math.max(worst, Math.abs(got[i]! - x) / size(i)), 0);
}

describe.each(opCases("adamw"))("%s", (_, c) => {
  const stored = () => Promise.all(["new_param", "new_m", "new_v"].map((name) => opStored(c, name)));
  const inputs = () => Promise.all((["param", "grad", "m", "v"] as const).map((name) => opInput(c, name)));

  it("is what the reference computes", async () => {
    const [param, grad, m, v] = (await inputs()).map((x) => x.data);
    const elements = Array.from(param!, (value, i) =>
      adamWRef({ value, grad: grad![i]!, m: m![i]!, v: v![i]! }, optionsOf(c)),
    );
    const got = [elements.map((e) => e.value), elements.map((e) => e.m), elements.map((e) => e.v)];
    for (const [i, expected] of (await stored()).entries()) expect(relativeError(got[i]!, expected)).toBeLessThan(1e-7);
  });

  it("is within 1e-6 on the GPU", async () => {
    const [param, grad, m, v] = await inputs();
    const store = ParameterStore.create(device, [{ name: "x", shape: param!.shape, decay: true }]);
    store.write("x", param!.data);
    store.write("x", grad!.data, "grad");
    store.write("x", m!.data, "m");
    store.write("x", v!.data, "v");
    const { lr, t, ...hyper } = optionsOf(c);
    const p = new Program(device, "adamw");
    recordAdamW(p, store, { ...hyper, label: "adamw" });
    await p.compile();
    p.run({ lr, t });
    const got = await Promise.all((["value", "m", "v"] as const).map((kind) => store.read("x", kind)));
    const [newParam, newM, newV] = await stored();
    expect(relativeError(got[0]!, newParam!, param!.data)).toBeLessThan(1e-6);
    expect(relativeError(got[1]!, newM!, m!.data)).toBeLessThan(1e-6);
    expect(relativeError(got[2]!, newV!)).toBeLessThan(1e-6);
    p.destroy();
    store.free();
  });
});

describe.each(opCases("grad_clip"))("%s", (_, c) => {
  it("has the norm and the factor", async () => {
    const names = ["a", "b", "c"];
    const inputs = await Promise.all(names.map((name) => opInput(c, name)));
    const {
      max_norm: maxNorm,
      total_norm,
      factor,
    } = c.attrs as { max_norm: number; total_norm: number; factor: number };
    const norm = gradNormRef(inputs.map((x) => x.data));
    expect(norm).toBeCloseTo(total_norm, 5);
    expect(clipFactorRef(norm, maxNorm)).toBeCloseTo(factor, 6);

    // some of the parameters decay, so that the gradients lie in two buffers
    const shapes = inputs.map(({ shape }, i) => ({ name: names[i]!, shape, decay: i === 1 }));
    const store = ParameterStore.create(device, shapes);
    inputs.forEach((x, i) => {
      store.write(names[i]!, x.data, "grad");
    });
    const p = new Program(device, "clip");
    // without momentum the first moment is the clipped gradient
    const hyper = { variant: "torch", beta1: 0, beta2: 0.5, eps: 1e-8, weightDecay: 0 } as const;
    const measured = recordAdamW(p, store, { ...hyper, maxNorm, label: "adamw" });
    await p.compile();
    const [gpuNorm, gpuFactor] = await p.run({ lr: 0, t: 1 }, [measured]).f32();
    expect(Math.abs(gpuNorm! - total_norm)).toBeLessThanOrEqual(1e-6 * total_norm);
    expect(Math.abs(gpuFactor! - factor)).toBeLessThanOrEqual(1e-6 * factor);
    for (const name of names) {
      expect(relativeError(await store.read(name, "m"), await opStored(c, `clipped_${name}`))).toBeLessThan(1e-6);
    }
    p.destroy();
    store.free();
  });
});
