import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PATCH_CASES } from "../../src/kernels/patch/patch.cases.js";
import { assembleTokens, patches } from "../../src/kernels/patch/patch.js";
import { assembleTokensRef, patchesRef } from "../../src/kernels/patch/patch.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

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
