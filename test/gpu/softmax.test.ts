import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runnableRowGroups } from "../../src/kernels/rowgroup.js";
import { SOFTMAX_CASES } from "../../src/kernels/softmax/softmax.cases.js";
import { logSoftmax, softmax } from "../../src/kernels/softmax/softmax.js";
import { logSoftmaxRef, softmaxRef } from "../../src/kernels/softmax/softmax.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

describe("softmax", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(SOFTMAX_CASES)("$name [$rows, $columns]", async ({ name, rows, columns, scale, offset }) => {
    const x = values(name, rows * columns, scale).map((v) => v + offset);
    for (const variant of runnableRowGroups(device)) {
      const [y, log] = await runOp(device, (p) => {
        const input = upload(p, "x", [rows, columns], x);
        return [softmax(p, input, { label: "y", variant }), logSoftmax(p, input, { label: "log", variant })];
      });
      expect(nmse(y!, softmaxRef(x, columns)), JSON.stringify(variant)).toBeLessThan(1e-10);
      expect(nmse(log!, logSoftmaxRef(x, columns)), JSON.stringify(variant)).toBeLessThan(1e-10);
    }
  });

  it("gives masked elements probability zero", async () => {
    const x = [1, -3.4e38, 2, -3.4e38];
    const [y] = await runOp(device, (p) => softmax(p, upload(p, "x", [1, 4], x), { label: "y" }));
    expect([y![1], y![3]]).toEqual([0, 0]);
    expect(nmse(y!, softmaxRef(x, 4))).toBeLessThan(1e-12);
  });
});
