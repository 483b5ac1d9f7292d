import { afterAll, beforeAll, it } from "vitest";
import { add, addPositions } from "../../src/kernels/rows/rows.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, runGradients, testDevice } from "../gpu/harness.js";
import { expectGrad, expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("positional_add"))("%s", async (_, c) => {
  const [x, pos, cot] = await Promise.all([opInput(c, "x"), opInput(c, "pos"), opInput(c, "cot")]);
  const [y, dx, dpos] = await runGradients(device, cot.data, (p) => {
    const leaves = [leaf(p, "x", x.shape, x.data), leaf(p, "pos", pos.shape, pos.data)] as const;
    return { y: addPositions(p, ...leaves, { start: 0, period: x.shape[1]!, label: "y" }), leaves };
  });
  await expectOut(c, y!);
  await expectGrad(c, "x", dx!);
  await expectGrad(c, "pos", dpos!);
});

it.each(opCases("residual_add"))("%s", async (_, c) => {
  const [a, b, cot] = await Promise.all([opInput(c, "x"), opInput(c, "y"), opInput(c, "cot")]);
  const [y, da, db] = await runGradients(device, cot.data, (p) => {
    const leaves = [leaf(p, "a", a.shape, a.data), leaf(p, "b", b.shape, b.data)] as const;
    return { y: add(p, ...leaves, { label: "sum" }), leaves };
  });
  await expectOut(c, y!);
  await expectGrad(c, "x", da!);
  await expectGrad(c, "y", db!);
});
