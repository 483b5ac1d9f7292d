import { afterAll, beforeAll, it } from "vitest";
import { l2Normalize } from "../../src/kernels/l2norm/l2norm.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, runGradients, testDevice } from "../gpu/harness.js";
import { expectGrad, expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("l2_normalize"))("%s", async (_, c) => {
  const [x, cot] = await Promise.all([opInput(c, "x"), opInput(c, "cot")]);
  const [y, dx] = await runGradients(device, cot.data, (p) => {
    const leaves = [leaf(p, "x", x.shape, x.data)] as const;
    return { y: l2Normalize(p, leaves[0], { label: "y" }), leaves };
  });
  await expectOut(c, y!);
  await expectGrad(c, "x", dx!);
});
