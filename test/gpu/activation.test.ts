import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACTIVATION_CASES, ACTIVATION_KINDS } from "../../src/kernels/activation/activation.cases.js";
import { activation } from "../../src/kernels/activation/activation.js";
import { activationRef } from "../../src/kernels/activation/activation.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

describe("activation", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  for (const kind of ACTIVATION_KINDS) {
    it.each(ACTIVATION_CASES)(`${kind}: $name $shape`, async ({ name, shape, scale }) => {
      const x = values(
        name,
        shape.reduce((a, b) => a * b),
        scale,
      );
      const [y] = await runOp(device, (p) => activation(p, upload(p, "x", shape, x), kind, { label: "y" }));
      expect(nmse(y!, activationRef(x, kind))).toBeLessThan(1e-12);
    });
  }
});
