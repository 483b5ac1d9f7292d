import { afterAll, beforeAll, it } from "vitest";
import { layerNorm } from "../../src/kernels/layernorm/layernorm.js";
import type { Device } from "../../src/runtime/device.js";
import { runOp, testDevice, upload } from "../gpu/harness.js";
import { expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("layernorm"))("%s", async (_, c) => {
  const [x, w, b] = await Promise.all([opInput(c, "x"), opInput(c, "weight"), opInput(c, "bias")]);
  const [y] = await runOp(device, (p) => {
    const weight = upload(p, "weight", w.shape, w.data);
    const bias = upload(p, "bias", b.shape, b.data);
    return layerNorm(p, upload(p, "x", x.shape, x.data), weight, bias, { eps: c.attrs.eps!, label: "y" });
  });
  await expectOut(c, y!);
});
