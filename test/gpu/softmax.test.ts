import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runnableRowGroups } from "../../src/kernels/rowgroup.js";
import { SOFTMAX_CASES } from "../../src/kernels/softmax/softmax.cases.js";
import { logSoftmax, softmax } from "../../src/kernels/softmax/softmax.js";
import {
  logSoftmaxBackwardRef,
  logSoftmaxRef,
  softmaxBackwardRef,
  softmaxRef,
} from "../../src/kernels/softmax/softmax.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, nmse, runGradients, runOp, testDevice, upload, values } from "./harness.js";

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

  const operations = [
    { name: "softmax", op: softmax, ref: softmaxBackwardRef },
    { name: "logSoftmax", op: logSoftmax, ref: logSoftmaxBackwardRef },
  ];
  const gradientCases = operations.flatMap((o) => SOFTMAX_CASES.map((c) => ({ ...c, ...o, title: c.name })));

  it.each(gradientCases)("gradient of $name, $title [$rows, $columns]", async (c) => {
    const { rows, columns } = c;
    const x = values(c.title, rows * columns, c.scale).map((v) => v + c.offset);
    const dy = values("dy", rows * columns);
    const expected = c.ref(x, dy, columns);
    for (const variant of runnableRowGroups(device)) {
      const [, dx] = await runGradients(device, dy, (p) => {
        const leaves = [leaf(p, "x", [rows, columns], x)] as const;
        return { y: c.op(p, leaves[0], { label: "y", variant }), leaves };
      });
      expect(nmse(dx!, expected), JSON.stringify(variant)).toBeLessThan(1e-10);
    }
  });

  it("gives masked elements probability zero", async () => {
    const x = [1, -3.4e38, 2, -3.4e38];
    const [y] = await runOp(device, (p) => softmax(p, upload(p, "x", [1, 4], x), { label: "y" }));
    expect([y![1], y![3]]).toEqual([0, 0]);
    expect(nmse(y!, softmaxRef(x, 4))).toBeLessThan(1e-12);
  });
});
