import { afterAll, beforeAll, it } from "vitest";
import { linear } from "../../src/kernels/matmul/matmul.js";
import { patches } from "../../src/kernels/patch/patch.js";
import type { Device } from "../../src/runtime/device.js";
import { runOp, testDevice, upload } from "../gpu/harness.js";
import { expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("patch_embed"))("%s", async (_, c) => {
  const [pixels, weight] = await Promise.all([opInput(c, "pixels"), opInput(c, "weight")]);
  const [, channels, size] = pixels.shape as [number, number, number, number];
  const patch = c.attrs.patch!;
  const columns = weight.shape[0]!;
  const [y] = await runOp(device, (p) => {
    const rows = patches(p, upload(p, "pixels", pixels.shape, pixels.data), { channels, size, patch, label: "rows" });
    return linear(p, rows, upload(p, "weight", [columns, channels * patch * patch], weight.data), { label: "y" });
  });
  await expectOut(c, y!);
});
