import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { activation } from "../../src/kernels/activation/activation.js";
import { LAYER_NORM_CASES } from "../../src/kernels/layernorm/layernorm.cases.js";
import { layerNorm } from "../../src/kernels/layernorm/layernorm.js";
import { layerNormBackwardRef, layerNormRef } from "../../src/kernels/layernorm/layernorm.ref.js";
import { runnableRowGroups } from "../../src/kernels/rowgroup.js";
import { add } from "../../src/kernels/rows/rows.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { leaf, nmse, runGradients, runOp, testDevice, upload, values } from "./harness.js";

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

  const gradientCases = [
    ...LAYER_NORM_CASES,
    { name: "several chunks of rows", rows: 4099, columns: 4, scale: 1, offset: 0 },
    { name: "several chunks of rows, scalar", rows: 131, columns: 65, scale: 1, offset: 0 },
  ];

  it.each(gradientCases)("gradients: $name [$rows, $columns]", async ({ name, rows, columns, scale, offset }) => {
    const x = values(name, rows * columns, scale).map((v) => v + offset);
    const weight = values("weight", columns).map((v) => v + 1);
    const cotangent = values("dy", rows * columns);
    const { dx, dweight, dbias } = layerNormBackwardRef(x, weight, 1e-5, cotangent);
    for (const variant of [undefined, ...runnableRowGroups(device)]) {
      const [, ...got] = await runGradients(device, cotangent, (p) => {
        const w = leaf(p, "weight", [columns], weight);
        const b = leaf(p, "bias", [columns], values("bias", columns));
        const input = leaf(p, "x", [rows, columns], x);
        return { y: layerNorm(p, input, w, b, { eps: 1e-5, label: "y", variant }), leaves: [input, w, b] };
      });
      // A row of one element or of equal ones has no direction: its gradients are zero but for rounding.
      const flat = columns === 1 || scale === 0;
      expect(columns === 1 ? largest(got[0]!) : nmse(got[0]!, dx), `dx ${JSON.stringify(variant)}`).toBeLessThan(1e-9);
      expect(flat ? largest(got[1]!) : nmse(got[1]!, dweight), "dweight").toBeLessThan(1e-9);
      expect(nmse(got[2]!, dbias), "dbias").toBeLessThan(1e-11);
    }
  });

  it("computes no gradient of what is frozen", () => {
    const p = new Program(device, "frozen");
    const [w, b] = [upload(p, "w", [8], values("w", 8)), upload(p, "b", [8], values("b", 8))];
    const x = activation(p, leaf(p, "x", [2, 8], values("x", 16)), "none", { label: "x" });
    const y = layerNorm(p, x, w, b, { eps: 1e-5, label: "y" });
    const forward = p.dispatches.length;
    p.backward(y, upload(p, "dy", [2, 8], values("dy", 16)));
    expect(p.dispatches.slice(forward).map((d) => d.label)).toEqual(["d y", "d x", "d frozen.x"]);
    p.destroy();
  });

  it("adds the gradient of the residual stream", async () => {
    const [rows, columns] = [5, 24];
    const [x, weight, cotangent] = [values("x", 120), values("weight", columns), values("dy", 120)];
    const { dx } = layerNormBackwardRef(x, weight, 1e-5, cotangent);
    const [, got] = await runGradients(device, cotangent, (p) => {
      const input = leaf(p, "x", [rows, columns], x);
      const stream = activation(p, input, "none", { label: "stream" });
      const w = upload(p, "w", [columns], weight);
      const normed = layerNorm(p, stream, w, upload(p, "b", [columns], weight), { eps: 1e-5, label: "norm" });
      return { y: add(p, normed, stream, { label: "y" }), leaves: [input] };
    });
    expect(
      nmse(
        got!,
        dx.map((v, i) => v + cotangent[i]!),
      ),
    ).toBeLessThan(1e-12);
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

function largest(v: Float32Array): number {
  return v.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
}
