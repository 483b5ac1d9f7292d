import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADAMW_CASES } from "../../src/kernels/adamw/adamw.cases.js";
import { adamW, adamWStep } from "../../src/kernels/adamw/adamw.js";
import { adamWRef } from "../../src/kernels/adamw/adamw.ref.js";
import { GRADNORM_CASES } from "../../src/kernels/gradnorm/gradnorm.cases.js";
import { gradNorm } from "../../src/kernels/gradnorm/gradnorm.js";
import { clipFactorRef, gradNormRef } from "../../src/kernels/gradnorm/gradnorm.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { ADAMW_DEFAULTS } from "../../src/train/optimizer.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

/** [norm, not finite] of gradients. */
async function normOf(gradients: readonly Float32Array[]): Promise<[number, number]> {
  const [total] = await runOp(device, (p) => {
    const tensors = gradients.map((g, i) => upload(p, `g${i}`, [g.length], g));
    return gradNorm(p, tensors, { label: "norm" });
  });
  const [sum, faulty] = total as Uint32Array;
  return [Math.sqrt(new Float32Array(Uint32Array.of(sum!).buffer)[0]!), faulty!];
}

describe("gradNorm", () => {
  it.each(GRADNORM_CASES)("$name", async ({ sizes, scale }) => {
    const gradients = sizes.map((n, i) => values(`g${i}`, n, scale));
    const expected = gradNormRef(gradients);
    const [norm, faulty] = await normOf(gradients);
    expect(faulty).toBe(0);
    expect(Math.abs(norm - expected) / expected).toBeLessThan(1e-6);
  });

  const SIZES = [16_388, 64] as const; // a vector beyond a group; a small one
  it.each([
    ["NaN in the first element", Number.NaN, 0, 0],
    ["infinity in the last", Number.POSITIVE_INFINITY, 0, 16_387],
    ["minus infinity in the second tensor", Number.NEGATIVE_INFINITY, 1, 61],
    ["NaN in the third element of a vector", Number.NaN, 0, 9002],
  ])("finds %s", async (_, wrong, tensor, element) => {
    const gradients = SIZES.map((n, i) => values(`g${i}`, n));
    gradients[tensor]![element] = wrong;
    expect((await normOf(gradients))[1]).toBe(1);
  });

  it("takes the largest and smallest numbers for what they are", async () => {
    const largest = new Uint32Array(64).fill(0x7f7fffff); // 3.4e38: finite, its square is not
    const [norm, faulty] = await normOf([new Float32Array(largest.buffer)]);
    expect([norm, faulty]).toEqual([Number.POSITIVE_INFINITY, 0]);
    expect(await normOf([new Float32Array(64)])).toEqual([0, 0]);
  });

  it("refuses no gradients and odd sizes", () => {
    const p = new Program(device, "refused");
    expect(() => gradNorm(p, [], { label: "norm" })).toThrow("norm: there is no gradient");
    const odd = p.persistent("g", [6]);
    expect(() => gradNorm(p, [odd], { label: "norm" })).toThrow("is f32 [6], expected f32 in whole vectors of four");
    p.destroy();
  });
});

describe.each(["torch", "hf2021"] as const)("AdamW %s", (variant) => {
  const hyper = { ...ADAMW_DEFAULTS[variant], weightDecay: 0.1 };
  const lr = 0.003;

  it.each(ADAMW_CASES)("$name", async ({ size, t, scale }) => {
    const [value, grad, m] = ["value", "grad", "m"].map((name) => values(name, size, name === "value" ? 1 : scale));
    const v = values("v", size, scale ** 2).map(Math.abs);
    const p = new Program(device, "adamw");
    const flat = {
      value: upload(p, "value", [size], value!),
      grad: upload(p, "grad", [size], grad!),
      m: upload(p, "m", [size], m!),
      v: upload(p, "v", [size], v),
    };
    const skips = upload(p, "skips", [2], [0, 0], "u32");
    const total = gradNorm(p, [flat.grad], { label: "norm" });
    const norm = gradNormRef([grad!]);
    const maxNorm = norm / 2;
    const { step } = adamWStep(p, total, skips, { ...hyper, lr, t, maxNorm, label: "adamw" });
    adamW(p, flat, step, { ...hyper, label: "adamw" });
    await p.compile();
    const run = async () => {
      device.write(flat.value, value!);
      device.write(flat.m, m!);
      device.write(flat.v, v);
      p.run();
      return Promise.all([flat.value, flat.m, flat.v].map(async (x) => new Uint32Array(await device.read(x))));
    };
    const [first, second] = [await run(), await run()];
    for (const [i, bits] of first.entries()) expect(bits.findIndex((b, k) => b !== second[i]![k])).toBe(-1);

    const factor = clipFactorRef(norm, maxNorm);
    const elements = Array.from(value!, (x, i) => {
      return adamWRef({ value: x, grad: factor * grad![i]!, m: m![i]!, v: v[i]! }, { ...hyper, lr, t });
    });
    const [newValue, newM, newV] = first.map((bits) => new Float32Array(bits.buffer));
    // also the change alone, of which the value keeps 15 bits here
    const moved = (x: ArrayLike<number>) => Array.from(x, (y, i) => y - value![i]!);
    const expected = elements.map((e) => e.value);
    expect(nmse(newValue!, expected)).toBeLessThan(1e-13);
    expect(nmse(moved(newValue!), moved(expected))).toBeLessThan(1e-8);
    expect(
      nmse(
        newM!.map((x) => x / scale),
        elements.map((e) => e.m / scale),
      ),
    ).toBeLessThan(1e-13);
    const ratios = elements.map((e, i) => newV![i]! / e.v);
    expect(ratios.reduce((worst, ratio) => Math.max(worst, Math.abs(ratio - 1)), 0)).toBeLessThan(1e-6);
    p.destroy();
  });
});
