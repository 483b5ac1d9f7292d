import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { contrastiveLoss } from "../../src/kernels/contrastive/contrastive.js";
import type { Device } from "../../src/runtime/device.js";
import { goldenTensors } from "../goldens.js";
import { leaf, nmse, runGradients, testDevice } from "../gpu/harness.js";
import { expectOut, opCases, opInput } from "./ops.js";

describe("contrastive_loss goldens", async () => {
  const tensors = await goldenTensors("ops.safetensors");
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(opCases("contrastive_loss"))("%s", async (_, c) => {
    const names = ["image", "text", "logit_scale"] as const;
    const inputs = await Promise.all(names.map((name) => opInput(c, name)));
    const [loss, ...gradients] = await runGradients(device, Float32Array.of(1), (p) => {
      const leaves = inputs.map(({ shape, data }, i) => leaf(p, names[i]!, shape, data));
      const [image, text, scale] = leaves;
      return { y: contrastiveLoss(p, image!, text!, scale!, { label: "loss" }), leaves };
    });
    await expectOut(c, loss!);
    for (const [i, name] of names.entries()) {
      const expected = await tensors.readF32(`${c.case}/grad_${name}`);
      expect(nmse(gradients[i]!, expected), name).toBeLessThan(1e-9);
    }
  });
});
