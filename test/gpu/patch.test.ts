import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PATCH_CASES } from "../../src/kernels/patch/patch.cases.js";
import { assembleTokens, patches } from "../../src/kernels/patch/patch.js";
import {
  assembleTokensBackwardRef,
  assembleTokensRef,
  patchesBackwardRef,
  patchesRef,
} from "../../src/kernels/patch/patch.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { leaf, nmse, runGradients, runOp, testDevice, upload, values } from "./harness.js";

describe("patch embedding", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(PATCH_CASES)("patches, $name: [$batch, $channels, $size, $size] by $patch", async (c) => {
    const shape = [c.batch, c.channels, c.size, c.size];
    const pixels = values(c.name, c.batch * c.channels * c.size ** 2);
    const [y] = await runOp(device, (p) => patches(p, upload(p, "pixels", shape, pixels), { ...c, label: "y" }));
    expect(nmse(y!, patchesRef(pixels, c.batch, c.channels, c.size, c.patch))).toBe(0);
  });

  it.each(PATCH_CASES)(
    "tokens, $name: $batch images, $columns columns",
    async ({ name, batch, size, patch, columns }) => {
      const n = Math.floor(size / patch) ** 2;
      const x = values(name, batch * n * columns);
      const cls = values("cls", columns);
      const positions = values("positions", (n + 1) * columns);
      const [y] = await runOp(device, (p) => {
        const table = upload(p, "positions", [n + 1, columns], positions);
        return assembleTokens(p, upload(p, "x", [batch * n, columns], x), upload(p, "cls", [columns], cls), table, {
          label: "y",
        });
      });
      expect(nmse(y!, assembleTokensRef(x, cls, positions, batch))).toBeLessThan(1e-13);
    },
  );

  it.each(PATCH_CASES)("gradient of patches, $name: [$batch, $channels, $size, $size] by $patch", async (c) => {
    const shape = [c.batch, c.channels, c.size, c.size];
    const pixels = values(c.name, c.batch * c.channels * c.size ** 2);
    const dy = values("dy", c.batch * c.channels * (Math.floor(c.size / c.patch) * c.patch) ** 2);
    const [, dx] = await runGradients(device, dy, (p) => {
      const leaves = [leaf(p, "pixels", shape, pixels)] as const;
      return { y: patches(p, leaves[0], { ...c, label: "y" }), leaves };
    });
    expect(nmse(dx!, patchesBackwardRef(dy, c.batch, c.channels, c.size, c.patch))).toBe(0);
  });

  it.each(PATCH_CASES)("gradients of tokens, $name: $batch images, $columns columns", async (c) => {
    const n = Math.floor(c.size / c.patch) ** 2;
    const dy = values(c.name, c.batch * (n + 1) * c.columns);
    const [, dx, dcls, dpositions] = await runGradients(device, dy, (p) => {
      const leaves = [
        leaf(p, "x", [c.batch * n, c.columns], values("x", c.batch * n * c.columns)),
        leaf(p, "cls", [c.columns], values("cls", c.columns)),
        leaf(p, "positions", [n + 1, c.columns], values("positions", (n + 1) * c.columns)),
      ] as const;
      return { y: assembleTokens(p, ...leaves, { label: "y" }), leaves };
    });
    const expected = assembleTokensBackwardRef(dy, c.columns, n + 1);
    expect(nmse(dx!, expected.dpatches)).toBe(0);
    expect(nmse(dcls!, expected.dcls)).toBeLessThan(1e-13);
    expect(nmse(dpositions!, expected.dpositions)).toBeLessThan(1e-13);
  });

  it("refuses an image smaller than a patch, and patches that are no whole images", async () => {
    const small = runOp(device, (p) =>
      patches(p, upload(p, "pixels", [1, 1, 4, 4], values("x", 16)), { channels: 1, size: 4, patch: 8, label: "y" }),
    );
    await expect(small).rejects.toThrow("y: no patch of 8 pixels fits in an image of 4");
    const odd = runOp(device, (p) =>
      assembleTokens(
        p,
        upload(p, "x", [3, 4], values("x", 12)),
        upload(p, "cls", [4], values("cls", 4)),
        upload(p, "positions", [3, 4], values("positions", 12)),
        { label: "y" },
      ),
    );
    await expect(odd).rejects.toThrow("y: 3 patches are no whole images of 2 (test.positions)");
  });
});
