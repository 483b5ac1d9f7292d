import { afterAll, beforeAll, it } from "vitest";
import { linear } from "../../src/kernels/matmul/matmul.js";
import { patches } from "../../src/kernels/patch/patch.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, runGradients, testDevice } from "../gpu/harness.js";
import { expectGrad, expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("patch_embed"))("%s", async (_, c) => {
  const [pixels, weight, cot] = await Promise.all(["pixels", "weight", "cot"].map((name) => opInput(c, name)));
  const [, channels, size] = pixels!.shape as [number, number, number, number];
  const patch = c.attrs.patch!;
  const columns = weight!.shape[0]!;
  const [y, dpixels, dweight] = await runGradients(device, cot!.data, (p) => {
    const leaves = [
      leaf(p, "pixels", pixels!.shape, pixels!.data),
      leaf(p, "weight", [columns, channels * patch * patch], weight!.data),
    ] as const;
    const rows = patches(p, leaves[0], { channels, size, patch, label: "rows" });
    return { y: linear(p, rows, leaves[1], { label: "y" }), leaves };
  });
  await expectOut(c, y!);
  await expectGrad(c, "pixels", dpixels!);
  await expectGrad(c, "weight", dweight!);
});
