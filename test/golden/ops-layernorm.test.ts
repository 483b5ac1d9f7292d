import { afterAll, beforeAll, it } from "vitest";
import { layerNorm } from "../../src/kernels/layernorm/layernorm.js";
import type { Device } from "../../src/runtime/device.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { leaf, runGradients, testDevice } from "../gpu/harness.js";
import { expectGrad, expectOut, opCases, opInput } from "./ops.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it.each(opCases("layernorm"))("%s", async (_, c) => {
  const [x, w, b, cot] = await Promise.all(["x", "weight", "bias", "cot"].map((name) => opInput(c, name)));
  const [y, dx, dweight, dbias] = await runGradients(device, cot!.data, (p) => {
    const leaves = [leaf(p, "x", x!.shape, x!.data), leaf(p, "w", w!.shape, w!.data), leaf(p, "b", b!.shape, b!.data)];
    const [input, weight, bias] = leaves as [Tensor, Tensor, Tensor];
    return { y: layerNorm(p, input, weight, bias, { eps: c.attrs.eps!, label: "y" }), leaves };
  });
  await expectOut(c, y!);
  await expectGrad(c, "x", dx!);
  await expectGrad(c, "weight", dweight!);
  await expectGrad(c, "bias", dbias!);
});
