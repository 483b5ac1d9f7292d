import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CONTRASTIVE_CASES } from "../../src/kernels/contrastive/contrastive.cases.js";
import { capLogitScale, contrastiveLoss } from "../../src/kernels/contrastive/contrastive.js";
import { contrastiveBackwardRef, contrastiveRef } from "../../src/kernels/contrastive/contrastive.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { leaf, nmse, runGradients, runOp, testDevice, upload, values } from "./harness.js";

const DLOSS = -1.3;

describe("contrastiveLoss", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(CONTRASTIVE_CASES)("$name: $batch pairs of $width", async ({ batch, width, logitScale }) => {
    const shape = [batch, width];
    const images = values("images", batch * width, 3);
    const texts = values("texts", batch * width);
    const scale = Float32Array.of(logitScale);
    const loss = [contrastiveRef(images, texts, scale[0]!, width)];
    const d = contrastiveBackwardRef(images, texts, scale[0]!, width);

    const [forward] = await runOp(device, (p) => {
      const inputs = [upload(p, "images", shape, images), upload(p, "texts", shape, texts)] as const;
      return contrastiveLoss(p, ...inputs, upload(p, "scale", [1], scale), { label: "loss" });
    });
    expect(nmse(forward!, loss)).toBeLessThan(1e-11);

    const [, dimages, dtexts, dscale] = await runGradients(device, Float32Array.of(DLOSS), (p) => {
      const leaves = [leaf(p, "i", shape, images), leaf(p, "t", shape, texts), leaf(p, "s", [1], scale)] as const;
      return { y: contrastiveLoss(p, ...leaves, { label: "loss" }), leaves };
    });
    const times = (v: ArrayLike<number>) => Float64Array.from(v, (x) => x * DLOSS);
    expect(nmse(dimages!, times(d.dimages))).toBeLessThan(1e-9);
    expect(nmse(dtexts!, times(d.dtexts))).toBeLessThan(1e-9);
    expect(nmse(dscale!, times([d.dlogitScale]))).toBeLessThan(1e-9);
  });

  it("stays finite where exp(logitScale) does not fit in f32", async () => {
    const [loss] = await runOp(device, (p) => {
      const x = upload(p, "x", [2, 2], [1, 0, 0, 1]);
      return contrastiveLoss(p, x, x, upload(p, "scale", [1], [200]), { label: "loss" });
    });
    expect([...loss!]).toEqual([0]);
  });

  it("has its learnt scale capped at 100, and left to the bit below", async () => {
    const most = Math.fround(Math.log(100));
    for (const [before, after] of [
      [4.7, most],
      [1e30, most],
      [most, most],
      [4.6, 4.6],
      [-3, -3],
    ] as const) {
      const p = new Program(device, "cap");
      const scale = upload(p, "scale", [1], [before]);
      capLogitScale(p, scale, { label: "cap" });
      await p.compile();
      p.run();
      expect(new Float32Array(await device.read(scale))[0]).toBe(Math.fround(after));
      p.destroy();
    }
  });

  it("costs nothing backward for what is frozen", () => {
    const p = new Program(device, "frozen");
    const [images, texts, scale] = [p.persistent("i", [4, 8]), p.persistent("t", [4, 8]), p.persistent("s", [1])];
    const loss = contrastiveLoss(p, images, texts, scale, { label: "loss" });
    const forward = p.dispatches.length;
    p.backward(loss, p.persistent("dloss", [1]));
    expect(p.dispatches.length).toBe(forward);
    p.destroy();
  });

  it("names what does not fit", () => {
    const p = new Program(device, "wrong");
    const tensor = (name: string, shape: number[]) => p.persistent(name, shape);
    const [i, t] = [tensor("i", [3, 8]), tensor("t", [3, 8])];
    const o = { label: "loss" };
    expect(() => contrastiveLoss(p, i, tensor("u", [4, 8]), tensor("s", [1]), o)).toThrow("wrong.u is [4,8]");
    expect(() => contrastiveLoss(p, i, t, tensor("r", [2]), o)).toThrow("wrong.r is [2], expected one number");
    expect(() => capLogitScale(p, tensor("q", [2]), o)).toThrow("loss: wrong.q is [2], expected [1]");
    p.destroy();
  });
});
