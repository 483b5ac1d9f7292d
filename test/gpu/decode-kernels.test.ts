import { expect, test } from "vitest";
import { decodeKernels } from "../../src/kernels/decode/decode.js";
import { wgsl } from "../../src/runtime/kernel.js";
import { testDevice } from "./harness.js";

test("every kernel compiles within WebGPU's default limits, under a name of its own", async () => {
  const device = await testDevice({ limits: "default" });
  try {
    const kernels = decodeKernels();
    expect(new Set(kernels.map((k) => k.name)).size).toBe(new Set(kernels.map(wgsl)).size);
    const subgroups = device.gpu.features.has("subgroups");
    for (const kernel of kernels) {
      expect(kernel.bindings.length, kernel.name).toBeLessThanOrEqual(8);
      if (!kernel.enables?.includes("subgroups") || subgroups) await device.kernel(kernel);
    }
  } finally {
    device.close();
  }
});
