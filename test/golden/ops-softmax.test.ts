import { afterAll, beforeAll, it } from "vitest";
import { logSoftmax, softmax } from "../../src/kernels/softmax/softmax.js";
import type { Device } from "../../src/runtime/device.js";
import { runOp, testDevice, upload } from "../gpu/harness.js";
import { expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each([...opCases("softmax"), ...opCases("log_softmax")])("%s", async (_, c) => {
  const x = await opInput(c, "x");
  const op = c.op === "softmax" ? softmax : logSoftmax;
  const [y] = await runOp(device, (p) => op(p, upload(p, "x", x.shape, x.data), { label: "y" }));
  await expectOut(c, y!);
});
