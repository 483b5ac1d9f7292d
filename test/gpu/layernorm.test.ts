import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LAYER_NORM_CASES } from "../../src/kernels/layernorm/layernorm.cases.js";
import { layerNorm } from "../../src/kernels/layernorm/layernorm.js";
import { layerNormRef } from "../../src/kernels/layernorm/layernorm.ref.js";
import { runnableRowGroups } from "../../src/kernels/rowgroup.js";
import type { Device } from "../../src/runtime/device.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

describe("layerNorm", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(LAYER_NORM_CASES)("$name [$rows, $columns]", async ({ name, rows, columns, scale, offset }) => {
    const x = values(name, rows * columns, scale).map((v) => v + offset);
    const weight = values("weight", columns).map((v) => v + 1);
    const bias = values("bias", columns);
    const expected = layerNormRef(x, weight, bias, 1e-5);
    for (const variant of [undefined, ...runnableRowGroups(device)]) {
      const [y] = await runOp(device, (p) => {
        const w = upload(p, "weight", [columns], weight);
        const b = upload(p, "bias", [columns], bias);
        return layerNorm(p, upload(p, "x", [rows, columns], x), w, b, { eps: 1e-5, label: "y", variant });
      });
      expect(nmse(y!, expected), JSON.stringify(variant)).toBeLessThan(1e-11);
    }
  });

  it("takes the last axis of any shape and folds grids above 65,535 workgroups", async () => {
    const shape = [7, 10_001, 4];
    const x = values("many rows", 280_028);
    const [weight, bias] = [values("w", 4), values("b", 4)];
    const [y] = await runOp(device, (p) =>
      layerNorm(p, upload(p, "x", shape, x), upload(p, "w", [4], weight), upload(p, "b", [4], bias), {
        eps: 1e-5,
        label: "y",
      }),
    );
    expect(nmse(y!, layerNormRef(x, weight, bias, 1e-5))).toBeLessThan(1e-11);
  });

  it("names the tensor whose shape does not fit", async () => {
    const record = runOp(device, (p) =>
      layerNorm(
        p,
        upload(p, "x", [2, 4], values("x", 8)),
        upload(p, "w", [3], values("w", 3)),
        upload(p, "b", [4], values("b", 4)),
        {
          eps: 1e-5,
          label: "h0.ln_1",
        },
      ),
    );
    await expect(record).rejects.toThrow("h0.ln_1: test.w is [3], expected [4]");
  });
});
