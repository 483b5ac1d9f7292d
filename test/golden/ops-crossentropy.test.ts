import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { crossEntropyOfLogits } from "../../src/kernels/crossentropy/crossentropy.js";
import type { Device } from "../../src/runtime/device.js";
import { goldenTensors } from "../goldens.js";
import { leaf, nmse, runGradients, testDevice, upload } from "../gpu/harness.js";
import { expectOut, opCases, opIds, opInput } from "./ops.js";

describe("cross_entropy goldens", async () => {
  const tensors = await goldenTensors("ops.safetensors");
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(opCases("cross_entropy"))("%s", async (_, c) => {
    const { shape, data } = await opInput(c, "logits");
    const targets = Uint32Array.from(await opIds(c, "targets"));
    const valid = await tensors.readBytes(`${c.case}/valid`);
    const count = valid.reduce((n, v) => n + v, 0);
    const [loss, dlogits] = await runGradients(device, Float32Array.of(1), (p) => {
      const logits = leaf(p, "logits", shape, data);
      const t = upload(p, "targets", [targets.length], targets, "u32");
      const weights = upload(
        p,
        "weights",
        [valid.length],
        Float32Array.from(valid, (v) => v / count),
      );
      return { y: crossEntropyOfLogits(p, logits, t, { weights, label: "loss" }).loss, leaves: [logits] };
    });
    await expectOut(c, loss!);
    expect(nmse(dlogits!, await tensors.readF32(`${c.case}/grad_logits`))).toBeLessThan(1e-9);
  });
});
