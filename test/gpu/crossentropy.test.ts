import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CROSS_ENTROPY_CASES, type CrossEntropyCase } from "../../src/kernels/crossentropy/crossentropy.cases.js";
import { crossEntropy, crossEntropyOfLogits, vocabularyChunks } from "../../src/kernels/crossentropy/crossentropy.js";
import { crossEntropyBackwardRef, crossEntropyRef } from "../../src/kernels/crossentropy/crossentropy.ref.js";
import { embedding } from "../../src/kernels/embedding/embedding.js";
import { matmul } from "../../src/kernels/matmul/matmul.js";
import { matmulRef } from "../../src/kernels/matmul/matmul.ref.js";
import { runnableRowGroups } from "../../src/kernels/rowgroup.js";
import { add } from "../../src/kernels/rows/rows.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { leaf, nmse, runGradients, runOp, split, testDevice, upload, values } from "./harness.js";

/** What dloss is in these tests. */
const DLOSS = -0.7;

/** Inputs and, in f64, everything that comes out. One row has weight 0, one a target beyond the vocabulary. */
function prepare({ rows: N, vocabulary: V, width: C, scale }: CrossEntropyCase) {
  const x = values("x", N * C, scale);
  const head = values("head", V * C);
  const targets = Uint32Array.from({ length: N }, (_, i) => (i === 2 ? V : (i * 7919 + V - 1) % V));
  const weights = values("weights", N).map((w, i) => (i === 1 ? 0 : (w + 2) / N));
  const logits = matmulRef(x, head, { layout: "nt", M: N, K: C, N: V });
  const perRow = crossEntropyRef(logits, targets, V);
  const scaled = Float64Array.from(weights, (w) => w * DLOSS);
  const dlogits = crossEntropyBackwardRef(logits, targets, scaled, V);
  return {
    x,
    head,
    targets,
    weights,
    logits: Float32Array.from(logits),
    perRow,
    loss: [perRow.reduce((sum, l, i) => sum + l * weights[i]!, 0)],
    dlogits,
    dx: matmulRef(dlogits, head, { layout: "nn", M: N, K: V, N: C }),
    dhead: matmulRef(dlogits, x, { layout: "tn", M: V, K: N, N: C }),
  };
}

describe("crossEntropy", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(CROSS_ENTROPY_CASES)("$name [$rows, $width] x [$vocabulary, $width]", async (c) => {
    const { rows: N, vocabulary: V, width: C } = c;
    const r = prepare(c);
    const dloss = Float32Array.of(DLOSS);
    const ids = (p: Program) => upload(p, "targets", [N], r.targets, "u32");
    const weigh = (p: Program) => upload(p, "weights", [N], r.weights);
    const others = N * V > 1e6 ? [] : runnableRowGroups(device);
    for (const variant of [undefined, ...others]) {
      const name = JSON.stringify(variant);
      const options = (p: Program) => ({ weights: weigh(p), label: "loss", variant });
      const [loss, perRow] = await runOp(device, (p) => {
        const head = upload(p, "head", [V, C], r.head);
        const made = crossEntropy(p, upload(p, "x", [N, C], r.x), head, ids(p), options(p));
        return [made.loss, made.perRow];
      });
      expect(nmse(loss!, r.loss), name).toBeLessThan(1e-11);
      expect(nmse(perRow!, r.perRow), name).toBeLessThan(1e-11);

      const [, dx, dhead] = await runGradients(device, dloss, (p) => {
        const leaves = [leaf(p, "x", [N, C], r.x), leaf(p, "head", [V, C], r.head)] as const;
        return { y: crossEntropy(p, ...leaves, ids(p), options(p)).loss, leaves };
      });
      expect(nmse(dx!, r.dx), name).toBeLessThan(1e-9);
      expect(nmse(dhead!, r.dhead), name).toBeLessThan(1e-9);

      const [same, dlogits] = await runGradients(device, dloss, (p) => {
        const logits = leaf(p, "logits", [N, V], r.logits);
        return { y: crossEntropyOfLogits(p, logits, ids(p), options(p)).loss, leaves: [logits] };
      });
      expect(nmse(same!, r.loss), name).toBeLessThan(1e-11);
      expect(nmse(dlogits!, r.dlogits), name).toBeLessThan(1e-9);
    }
  });

  it("is the mean without weights, and takes one weight for all", async () => {
    const r = prepare({ name: "", rows: 6, vocabulary: 17, width: 4, scale: 1 });
    const all = r.perRow.reduce((a, b) => a + b, 0);
    for (const [weights, expected] of [[undefined, all / 6] as const, [0.25, all / 4] as const]) {
      const [loss] = await runOp(device, (p) => {
        const logits = upload(p, "logits", [6, 17], r.logits);
        return crossEntropyOfLogits(p, logits, upload(p, "t", [6], r.targets, "u32"), { weights, label: "loss" }).loss;
      });
      expect(nmse(loss!, [expected])).toBeLessThan(1e-11);
    }
  });

  it("keeps rows of weight 0 out, whatever they hold", async () => {
    const logits = Float32Array.of(0, 1, 2, Number.NaN, Number.NaN, Number.NaN);
    const [loss, dlogits] = await runGradients(device, Float32Array.of(1), (p) => {
      const z = leaf(p, "logits", [2, 3], logits);
      const targets = upload(p, "targets", [2], [1, 0], "u32");
      const weights = upload(p, "weights", [2], [1, 0]);
      return { y: crossEntropyOfLogits(p, z, targets, { weights, label: "loss" }).loss, leaves: [z] };
    });
    expect(nmse(loss!, crossEntropyRef([0, 1, 2], [1], 3))).toBeLessThan(1e-11);
    expect(nmse(dlogits!, [...crossEntropyBackwardRef([0, 1, 2], [1], [1], 3), 0, 0, 0])).toBeLessThan(1e-9);
  });

  it("takes a head in parts", async () => {
    const c = { name: "", rows: 5, vocabulary: 211, width: 64, scale: 1 };
    const r = prepare(c);
    const [, dx, dhead] = await runGradients(device, Float32Array.of(DLOSS), (p) => {
      const [x, head] = [leaf(p, "x", [5, 64], r.x), leaf(p, "head", [211, 64], r.head)];
      const targets = upload(p, "targets", [5], r.targets, "u32");
      const options = { weights: upload(p, "weights", [5], r.weights), label: "loss" };
      return { y: crossEntropy(p, x, split(head, 101), targets, options).loss, leaves: [x, head] };
    });
    expect(nmse(dx!, r.dx)).toBeLessThan(1e-9);
    expect(nmse(dhead!, r.dhead)).toBeLessThan(1e-9);
  });

  it("adds up in a tied table with contributions to the whole of it, before and after its own", async () => {
    const [N, V, C] = [6, 211, 64];
    const { head, targets } = prepare({ name: "", rows: N, vocabulary: V, width: C, scale: 1 });
    const tokens = [3, 210, 3, 0, 104, 105];
    const picks = tokens.flatMap((id) => Array.from({ length: V }, (_, v) => (v === id ? 1 : 0)));
    const [, dhead] = await runGradients(device, Float32Array.of(1), (p) => {
      const wte = leaf(p, "wte", [V, C], head);
      const ids = upload(p, "targets", [N], targets, "u32");
      const x = embedding(p, upload(p, "tokens", [N], tokens, "u32"), wte, { label: "x" });
      const byRows = crossEntropy(p, x, wte, ids, { label: "byRows" }).loss;
      const logits = matmul(p, x, wte, { layout: "nt", label: "logits" });
      const whole = crossEntropyOfLogits(p, logits, ids, { label: "whole" }).loss;
      return { y: add(p, byRows, whole, { label: "sum" }), leaves: [wte] };
    });
    const x = matmulRef(picks, head, { layout: "nn", M: N, K: V, N: C });
    const logits = matmulRef(x, head, { layout: "nt", M: N, K: C, N: V });
    const dlogits = crossEntropyBackwardRef(logits, targets, new Float64Array(N).fill(2 / N), V);
    const dx = matmulRef(dlogits, head, { layout: "nn", M: N, K: V, N: C });
    const residual = matmulRef(dlogits, x, { layout: "tn", M: V, K: N, N: C });
    const expected = matmulRef(picks, dx, { layout: "tn", M: V, K: N, N: C }, { residual });
    expect(nmse(dhead!, expected)).toBeLessThan(1e-9);
  });

  it("records nothing for a frozen head, and nothing backward where nothing asks for a gradient", async () => {
    const record = (grads: { x: boolean; head: boolean }) => {
      const p = new Program(device, "count");
      const x = p.persistent("x", [8, 64], "f32", { requiresGrad: grads.x });
      const head = p.persistent("head", [256, 64], "f32", { requiresGrad: grads.head });
      const { loss } = crossEntropy(p, x, head, p.persistent("t", [8], "u32"), { label: "loss" });
      const forward = p.dispatches.length;
      p.backward(loss, p.persistent("dloss", [1]));
      const backward = p.dispatches.slice(forward).map((d) => d.kernel.name.split(".").slice(0, 2).join("."));
      p.destroy();
      return backward;
    };
    expect(record({ x: false, head: false })).toEqual([]);
    expect(record({ x: true, head: false })).toEqual(["crossentropy.backward", "matmul.nn"]);
    expect(record({ x: true, head: true })).toEqual(["crossentropy.backward", "matmul.nn", "matmul.tn"]);
  });

  it("holds a part of GPT-2's logits at a time", () => {
    const p = new Program(device, "gpt2");
    const head = p.persistent("wte", [50_257, 768]);
    const x = p.persistent("x", [128, 768], "f32", { requiresGrad: true });
    const { loss } = crossEntropy(p, x, head, p.persistent("t", [128], "u32"), { label: "loss" });
    p.backward(loss, p.persistent("dloss", [1]));
    const { arenas } = p.measure().plan;
    p.destroy();
    expect(vocabularyChunks(head, 128)).toEqual([
      [0, 16384],
      [16384, 32768],
      [32768, 43688],
      [43688, 43690], // the end of the first part of 128 MiB
      [43690, 50254],
      [50254, 50257],
    ]);
    expect(arenas.reduce((a, b) => a + b)).toBeLessThan(17 * 2 ** 20);
  });

  it("names what does not fit", () => {
    const p = new Program(device, "wrong");
    const tensor = (name: string, shape: number[]) => p.persistent(name, shape);
    const [x, head, t] = [tensor("x", [3, 8]), tensor("head", [5, 8]), p.persistent("t", [3], "u32")];
    const o = { label: "loss" };
    expect(() => crossEntropy(p, x, tensor("h", [5, 7]), t, o)).toThrow("loss: wrong.h is [5,7], expected [5,8]");
    expect(() => crossEntropy(p, x, head, tensor("u", [4]), o)).toThrow("loss: wrong.u is [4], expected [3]");
    expect(() => crossEntropy(p, x, head, t, { ...o, weights: tensor("w", [2]) })).toThrow("wrong.w is [2]");
    expect(() => crossEntropy(p, x, p.persistent("half", [5, 8], "f16"), t, o)).toThrow("wrong.half is f16");
    expect(() => crossEntropy(p, x, p.transient("inner", [5, 8]), t, o)).toThrow("inner lives inside a program");
    p.destroy();
  });
});
