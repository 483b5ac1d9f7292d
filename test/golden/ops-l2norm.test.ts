import { afterAll, beforeAll, it } from "vitest";
import { l2Normalize } from "../../src/kernels/l2norm/l2norm.js";
import type { Device } from "../../src/runtime/device.js";
import { runOp, testDevice, upload } from "../gpu/harness.js";
import { expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("l2_normalize"))("%s", async (_, c) => {
  const x = await opInput(c, "x");
  const [y] = await runOp(device, (p) => l2Normalize(p, upload(p, "x", x.shape, x.data), { label: "y" }));
  await expectOut(c, y!);
});
