import { afterAll, beforeAll, it } from "vitest";
import { activation } from "../../src/kernels/activation/activation.js";
import type { ActivationKind } from "../../src/kernels/activation/activation.wgsl.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, runGradients, testDevice } from "../gpu/harness.js";
import { expectGrad, expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(["gelu_new", "quick_gelu", "relu", "tanh"].flatMap(opCases))("%s", async (_, c) => {
  const [x, cot] = await Promise.all([opInput(c, "x"), opInput(c, "cot")]);
  const kind = c.op as ActivationKind;
  const [y, dx] = await runGradients(device, cot.data, (p) => {
    const input = leaf(p, "x", x.shape, x.data);
    return { y: activation(p, input, kind, { label: "y" }), leaves: [input] };
  });
  await expectOut(c, y!);
  await expectGrad(c, "x", dx!);
});
