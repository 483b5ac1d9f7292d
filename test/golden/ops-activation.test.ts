import { afterAll, beforeAll, it } from "vitest";
import { activation } from "../../src/kernels/activation/activation.js";
import type { ActivationKind } from "../../src/kernels/activation/activation.wgsl.js";
import type { Device } from "../../src/runtime/device.js";
import { runOp, testDevice, upload } from "../gpu/harness.js";
import { expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(["gelu_new", "quick_gelu", "relu", "tanh"].flatMap(opCases))("%s", async (_, c) => {
  const x = await opInput(c, "x");
  const kind = c.op as ActivationKind;
  const [y] = await runOp(device, (p) => activation(p, upload(p, "x", x.shape, x.data), kind, { label: "y" }));
  await expectOut(c, y!);
});
