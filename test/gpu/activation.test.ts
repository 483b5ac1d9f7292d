import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACTIVATION_CASES, ACTIVATION_KINDS } from "../../src/kernels/activation/activation.cases.js";
import { activation } from "../../src/kernels/activation/activation.js";
import { activationBackwardRef, activationRef } from "../../src/kernels/activation/activation.ref.js";
import { matmul } from "../../src/kernels/matmul/matmul.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, nmse, runGradients, runOp, testDevice, upload, values } from "./harness.js";

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

    it(`${kind} keeps NaN, and makes of infinity no number but its limit`, async () => {
      const bits = [0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff, 0x7f800000, 0xff800000];
      const faulty = new Float32Array(Uint32Array.from(bits).buffer);
      const x = Float32Array.from({ length: 24 }, (_, i) => (i % 4 === 0 ? 0 : (i - 12) / 3));
      const words = new Uint32Array(x.buffer);
      bits.forEach((word, i) => {
        words[4 * i] = word;
      });
      const [alone, epilogue] = await runOp(device, (p) => {
        const input = upload(p, "x", [24, 1], x);
        const one = upload(p, "one", [1, 1], [1]);
        return [
          activation(p, input, kind, { label: "alone" }),
          matmul(p, input, one, { layout: "nn", activation: kind, label: "epilogue" }),
        ];
      });
      for (const [name, y] of Object.entries({ alone, epilogue })) {
        const limits = activationRef(faulty, kind);
        for (const i of bits.keys()) {
          if (i < 4) expect(y![4 * i], `${name} of NaN`).toBeNaN();
          else if (Number.isFinite(y![4 * i])) expect(y![4 * i], `${name} of ${faulty[i]}`).toBe(limits[i]);
        }
        const others = (values: ArrayLike<number>) => Float64Array.from(values).filter((_, i) => i % 4 !== 0);
        expect(nmse(others(y!), activationRef(others(x), kind)), name).toBeLessThan(1e-12);
      }
    });
  }
});
