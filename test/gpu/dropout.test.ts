import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { activation } from "../../src/kernels/activation/activation.js";
import { DROPOUT_CASES } from "../../src/kernels/dropout/dropout.cases.js";
import { dropout } from "../../src/kernels/dropout/dropout.js";
import { dropoutMask, dropoutRef } from "../../src/kernels/dropout/dropout.ref.js";
import { add } from "../../src/kernels/rows/rows.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { leaf, nmse, runGradients, testDevice, upload, values } from "./harness.js";

describe("dropout", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(DROPOUT_CASES)("$name $shape, rate $rate", async ({ name, shape, ...options }) => {
    const count = shape.reduce((a, b) => a * b);
    const [x, dy] = [values(name, count).map((v) => v + 2), values("dy", count).map((v) => v + 2)];
    const [y, dx] = await runGradients(device, dy, (p) => {
      const input = leaf(p, "x", shape, x);
      return { y: dropout(p, input, { ...options, label: "y" }), leaves: [input] };
    });
    const keep = dropoutMask(count, options.rate, options.seed, options.site);
    // No input is 0, so the zeros of both are the mask, to the bit.
    expect(keep.findIndex((kept, i) => kept !== (y![i] !== 0) || kept !== (dx![i] !== 0))).toBe(-1);
    expect(nmse(y!, dropoutRef(x, keep, options.rate))).toBeLessThan(1e-13);
    expect(nmse(dx!, dropoutRef(dy, keep, options.rate))).toBeLessThan(1e-13);
  });

  it("adds the gradient of the residual stream", async () => {
    const [x, dy] = [values("x", 42), values("dy", 42)];
    const [, dx] = await runGradients(device, dy, (p) => {
      const input = leaf(p, "x", [6, 7], x);
      const stream = activation(p, input, "none", { label: "stream" });
      const dropped = dropout(p, stream, { rate: 0.4, seed: 3, site: 1, label: "dropped" });
      return { y: add(p, dropped, stream, { label: "y" }), leaves: [input] };
    });
    const back = dropoutRef(dy, dropoutMask(42, 0.4, 3, 1), 0.4);
    expect(
      nmse(
        dx!,
        back.map((v, i) => v + dy[i]!),
      ),
    ).toBeLessThan(1e-13);
  });

  it("adds a residual afterwards, whose gradient is the output's", async () => {
    const [x, stream, dy] = [values("x", 42), values("stream", 42), values("dy", 42)];
    for (const rate of [0.4, 0]) {
      const [y, dx, dStream] = await runGradients(device, dy, (p) => {
        const leaves = [leaf(p, "x", [6, 7], x), leaf(p, "stream", [6, 7], stream)] as const;
        const y = dropout(p, leaves[0], { rate, seed: 3, site: 1, residual: leaves[1], label: "y" });
        return { y, leaves };
      });
      const keep = dropoutMask(42, rate, 3, 1);
      const expected = dropoutRef(x, keep, rate).map((v, i) => v + stream[i]!);
      expect(nmse(y!, expected)).toBeLessThan(1e-13);
      expect(nmse(dx!, dropoutRef(dy, keep, rate))).toBeLessThan(1e-13);
      expect(dStream).toEqual(dy);
    }
  });

  it("takes the seed from a scalar at each run", async () => {
    const p = new Program(device, "step");
    const x = values("x", 64).map((v) => v + 2);
    const y = dropout(p, upload(p, "x", [64], x), { rate: 0.5, seed: p.scalar("seed"), site: 9, label: "y" });
    p.keep(y);
    await p.compile();
    for (const seed of [0, 4_294_967_295]) {
      const got = await p.run({ seed }, [y]).f32();
      expect(nmse(got, dropoutRef(x, dropoutMask(64, 0.5, seed, 9), 0.5))).toBeLessThan(1e-13);
    }
    p.destroy();
  });

  it("records nothing at rate 0 and refuses rates outside [0, 1)", () => {
    const p = new Program(device, "refused");
    const x = p.transient("x", [4]);
    expect(dropout(p, x, { rate: 0, seed: 1, site: 0, label: "y" })).toBe(x);
    expect(p.dispatches.length).toBe(0);
    for (const rate of [1, -0.1, Number.NaN]) {
      expect(() => dropout(p, x, { rate, seed: 1, site: 0, label: "h0.drop" })).toThrow(
        `h0.drop: a dropout rate of ${rate} is not in [0, 1)`,
      );
    }
  });
});
