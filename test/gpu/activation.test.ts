import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACTIVATION_CASES, ACTIVATION_KINDS } from "../../src/kernels/activation/activation.cases.js";
import { activation } from "../../src/kernels/activation/activation.js";
import { activationBackwardRef, activationRef } from "../../src/kernels/activation/activation.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, nmse, runGradients, testDevice, values } from "./harness.js";

describe("activation", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  for (const kind of ACTIVATION_KINDS) {
    it.each(ACTIVATION_CASES)(`${kind}: $name $shape`, async ({ name, shape, scale }) => {
      const count = shape.reduce((a, b) => a * b);
      const [x, dy] = [values(name, count, scale), values("dy", count)];
      const [y, dx] = await runGradients(device, dy, (p) => {
        const input = leaf(p, "x", shape, x);
        return { y: activation(p, input, kind, { label: "y" }), leaves: [input] };
      });
      expect(nmse(y!, activationRef(x, kind))).toBeLessThan(1e-12);
      // Beside dy, since far out the slope of tanh is less than f32 keeps of 1 - y.
      const besideDy = (d: ArrayLike<number>) => Float64Array.from(d, (v, i) => v + dy[i]!);
      expect(nmse(besideDy(dx!), besideDy(activationBackwardRef(x, dy, kind)))).toBeLessThan(1e-12);
    });
  }
});
