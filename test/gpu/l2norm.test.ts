import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { L2_NORM_CASES } from "../../src/kernels/l2norm/l2norm.cases.js";
import { l2Normalize } from "../../src/kernels/l2norm/l2norm.js";
import { l2NormalizeBackwardRef, l2NormalizeRef } from "../../src/kernels/l2norm/l2norm.ref.js";
import { runnableRowGroups } from "../../src/kernels/rowgroup.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, nmse, runGradients, runOp, testDevice, upload, values } from "./harness.js";

describe("l2Normalize", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(L2_NORM_CASES)("$name [$rows, $columns]", async ({ name, rows, columns, scale }) => {
    const x = values(name, rows * columns, scale);
    for (const variant of runnableRowGroups(device)) {
      const [y] = await runOp(device, (p) =>
        l2Normalize(p, upload(p, "x", [rows, columns], x), { label: "y", variant }),
      );
      expect(nmse(y!, l2NormalizeRef(x, columns)), JSON.stringify(variant)).toBeLessThan(1e-12);
    }
  });

  it.each(L2_NORM_CASES)("gradient: $name [$rows, $columns]", async ({ name, rows, columns, scale }) => {
    const x = values(name, rows * columns, scale);
    const dy = values("dy", rows * columns);
    const expected = l2NormalizeBackwardRef(x, dy, columns);
    for (const variant of runnableRowGroups(device)) {
      const [, dx] = await runGradients(device, dy, (p) => {
        const leaves = [leaf(p, "x", [rows, columns], x)] as const;
        return { y: l2Normalize(p, leaves[0], { label: "y", variant }), leaves };
      });
      expect(nmse(dx!, expected), JSON.stringify(variant)).toBeLessThan(1e-12);
    }
  });
});
