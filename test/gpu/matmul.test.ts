import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MATMUL_CASES, type MatmulCase } from "../../src/kernels/matmul/matmul.cases.js";
import { matmul } from "../../src/kernels/matmul/matmul.js";
import { matmulBackwardRef, matmulRef } from "../../src/kernels/matmul/matmul.ref.js";
import { candidates, chooseVariant, type Variant, variantName } from "../../src/kernels/matmul/variant.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { dequantizeRows, f16ToF32, f32ToF16, quantizeRows } from "../../src/weights/float.js";
import { leaf, nmse, runGradients, runOp, split, testDevice, upload, values } from "./harness.js";

const name = (c: MatmulCase) => `${c.layout} ${c.batch ?? 1}x${c.M}x${c.K}x${c.N} ${c.activation ?? ""}`;

function inputs(c: MatmulCase) {
  const batch = c.batch ?? 1;
  const lead = c.batch ? [c.batch] : [];
  return {
    batch,
    a: values(`a ${name(c)}`, batch * c.M * c.K),
    b: values(`b ${name(c)}`, batch * c.K * c.N),
    bias: c.bias ? values("bias", c.N) : undefined,
    residual: c.residual ? values("residual", batch * c.M * c.N) : undefined,
    shapes: {
      a: [...lead, ...(c.layout === "tn" ? [c.K, c.M] : [c.M, c.K])],
      b: [...lead, ...(c.layout === "nt" ? [c.N, c.K] : [c.K, c.N])],
      out: [...lead, c.M, c.N],
    },
  };
}

async function check(device: Device, c: MatmulCase, variant?: Variant): Promise<void> {
  const { batch, a, b, bias, residual, shapes } = inputs(c);
  const [out] = await runOp(device, (p) =>
    matmul(p, upload(p, "a", shapes.a, a), upload(p, "b", shapes.b, b), {
      label: "y",
      layout: c.layout,
      activation: c.activation,
      bias: bias && upload(p, "bias", [c.N], bias),
      residual: residual && upload(p, "residual", shapes.out, residual),
      variant,
    }),
  );
  const expected = matmulRef(a, b, c, { batch, bias, residual, activation: c.activation });
  expect(nmse(out!, expected)).toBeLessThan(1e-9);
}

/** Variants that a device can run for a shape, all that it may choose included. */
function variants(device: Device, c: MatmulCase): Variant[] {
  const all: Variant[] = [
    { family: "tile", size: 64 },
    { family: "tile", size: 128 },
  ];
  const { lanes } = device;
  const vectors = c.K % 4 === 0;
  if (c.layout === "nt" && vectors) {
    for (const rows of [1, 4, 8]) all.push({ family: "few-rows", rows });
    all.push({ family: "plain" });
    if (lanes) for (const rows of [3, 10, 25, 64]) all.push({ family: "lane", lanes, rows, a: "buffer" });
  }
  if (c.layout === "nn" ? vectors && c.N % 4 === 0 : c.layout === "tn" && c.M % 4 === 0 && c.N % 4 === 0)
    all.push({ family: "plain" });
  if (c.layout === "nn" && lanes && vectors && c.N % 4 === 0) {
    for (const rows of [5, 50]) all.push({ family: "lane", lanes, rows, a: "buffer" });
  }
  all.push(...candidates(c, device), ...candidates(c, { lanes: 0 }));
  if (c.layout === "tn" && lanes && c.M % 4 === 0 && c.N % 4 === 0)
    all.push({ family: "lane", lanes, rows: 4 * lanes, a: "buffer" });
  if ((c.layout === "tn" ? c.M : c.K) % 64 === 0) {
    for (const v of [...all]) if (v.family === "lane") all.push({ ...v, a: "texture" });
  }
  return [...new Map(all.map((v) => [variantName(v), v])).values()];
}

describe.each(["max", "default"] as const)("matmul at %s limits", (limits) => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits });
  });
  afterAll(() => device.close());

  test.each(MATMUL_CASES.map((c) => [name(c), c] as const))("%s", async (_, c) => {
    await check(device, c);
    if (limits === "max") for (const v of variants(device, c)) await check(device, c, v);
  });
});

describe("the gradients of matmul", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  const cases = MATMUL_CASES.filter((c) => !c.activation);
  test.each(cases.map((c) => [name(c), c] as const))("%s", async (_, c) => {
    const { batch, a, b, bias, residual, shapes } = inputs(c);
    const dout = values(`dout ${name(c)}`, batch * c.M * c.N);
    const [, da, db, ...rest] = await runGradients(device, dout, (p) => {
      const [x, w] = [leaf(p, "a", shapes.a, a), leaf(p, "b", shapes.b, b)];
      const added = {
        ...(bias && { bias: leaf(p, "bias", [c.N], bias) }),
        ...(residual && { residual: leaf(p, "residual", shapes.out, residual) }),
      };
      return {
        y: matmul(p, x, w, { label: "y", layout: c.layout, ...added }),
        leaves: [x, w, ...Object.values(added)],
      };
    });
    const expected = matmulBackwardRef(a, b, dout, c, { batch });
    expect(nmse(da!, expected.da)).toBeLessThan(1e-12);
    expect(nmse(db!, expected.db)).toBeLessThan(1e-12);
    for (const [i, d] of [...(bias ? [expected.dbias] : []), ...(residual ? [dout] : [])].entries()) {
      expect(nmse(rest[i]!, d)).toBeLessThan(1e-12);
    }
  });

  test("shapes that do not fit are refused", () => {
    const p = new Program(device, "wrong", { gradients: false });
    const t = (label: string, ...shape: number[]) => p.transient(label, shape);
    const nt = { label: "y", layout: "nt" } as const;
    const whole = upload(p, "whole", [8, 4], values("whole", 32));
    expect(() => matmul(p, t("a", 5, 4), t("b", 8, 5), nt)).toThrow("y: the inner sizes differ (a [5,4], b [8,5], nt)");
    expect(() => matmul(p, t("a", 5, 0), t("b", 8, 0), nt)).toThrow("a matrix is empty");
    expect(() => matmul(p, t("a", 5, 4), t("b", 8, 4), { ...nt, residual: t("r", 1, 8) })).toThrow(
      "the residual [1,8] has another size than the result",
    );
    const target = { grad: t("g", 4, 4), accumulate: 0 };
    expect(() => matmul(p, t("a", 2, 4, 4), t("b", 4, 4), { ...nt, target })).toThrow(
      "the target [4,4] has another size",
    );
    expect(() => matmul(p, t("a", 5, 8), split(whole, 4), { ...nt, layout: "nn" })).toThrow("parts need the nt layout");
    p.destroy();
  });

  test("a weight in two parts", async () => {
    const c = { layout: "nt", M: 5, K: 64, N: 9, bias: true } as const;
    const { a, b, bias, shapes } = inputs(c);
    const dout = values("dout", c.M * c.N);
    const [y, ...grads] = await runGradients(device, dout, (p) => {
      const leaves = [leaf(p, "a", shapes.a, a), leaf(p, "b", shapes.b, b), leaf(p, "bias", [c.N], bias!)] as const;
      const [x, whole, added] = leaves;
      return { y: matmul(p, x, split(whole, 4), { label: "y", layout: c.layout, bias: added }), leaves };
    });
    expect(nmse(y!, matmulRef(a, b, c, { bias }))).toBeLessThan(1e-12);
    const { da, db, dbias } = matmulBackwardRef(a, b, dout, c);
    for (const [i, d] of [da, db, dbias].entries()) expect(nmse(grads[i]!, d)).toBeLessThan(1e-12);
  });
});

describe("packed and split weights", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.close());

  test.each([1, 5, 12, 50])("f16 and q8 weights, %d rows", async (M) => {
    const [K, N] = [48, 70];
    const [x, w] = [values("x", M * K), values("w", N * K)];
    const halves = f32ToF16(w);
    const q = quantizeRows(w, N, K);
    const [y16, y8, t16, t8] = await runOp(device, (p) => {
      const xt = upload(p, "x", [M, K], x);
      const w16 = device.tensor("w16", [N, K], "f16");
      device.write(w16, halves);
      const scale = upload(p, "scale", [N], q.scales);
      const w8 = device.tensor("w8", [N, K], "q8", { scale });
      device.write(w8, q.values);
      const tile = { family: "tile", size: 64 } as const;
      return [
        matmul(p, xt, w16, { label: "y16", layout: "nt" }),
        matmul(p, xt, w8, { label: "y8", layout: "nt" }),
        matmul(p, xt, w16, { label: "t16", layout: "nt", variant: tile }),
        matmul(p, xt, w8, { label: "t8", layout: "nt", variant: tile }),
      ];
    });
    const shape = { layout: "nt", M, K, N } as const;
    const [r16, r8] = [matmulRef(x, f16ToF32(halves), shape), matmulRef(x, dequantizeRows(q.values, q.scales), shape)];
    for (const [got, expected] of [
      [y16, r16],
      [t16, r16],
      [y8, r8],
      [t8, r8],
    ] as const) {
      expect(nmse(got!, expected)).toBeLessThan(1e-9);
    }
  });

  test("a weight above the binding limit is split and gives the same bits as whole", async () => {
    const small = await testDevice({ limits: "default" });
    try {
      // 147 MiB, as GPT-2's token embedding: two parts at the default limit of 128 MiB.
      const [M, K, N] = [2, 768, 50257];
      const x = values("x", M * K);
      const row = values("w", K);
      const w = new Float32Array(N * K);
      for (let n = 0; n < N; n++)
        w.set(
          row.map((v) => v * ((n % 97) / 97)),
          n * K,
        );
      const [y] = await runOp(small, (p) => {
        const wt = small.tensor("wte", [N, K]);
        expect(wt.storage.kind === "buffers" && wt.storage.parts.length).toBe(2);
        small.write(wt, w);
        return matmul(p, upload(p, "x", [M, K], x), wt, { label: "logits", layout: "nt" });
      });
      const dots = [0, 1].map((m) => row.reduce((s, v, k) => s + v * x[m * K + k]!, 0));
      const expected = Float64Array.from({ length: M * N }, (_, i) => dots[Math.floor(i / N)]! * (((i % N) % 97) / 97));
      expect(nmse(y!, expected)).toBeLessThan(1e-9);
    } finally {
      small.close();
    }
  });
});

const NO_ADAPTER = { vendor: "", device: "", description: "", isCpu: true };

test("the choice of variant", () => {
  const cpu = { lanes: 8, textures: true };
  const gpu = { lanes: 0 };
  const lane = { family: "lane", lanes: 8, a: "buffer" };
  const nt = (M: number, K = 768, N = 768) => ({ layout: "nt" as const, M, K, N });
  expect(chooseVariant(nt(1), cpu)).toEqual({ ...lane, rows: 1, a: "texture" });
  expect(chooseVariant(nt(5, 768, 64), cpu)).toEqual({ ...lane, rows: 5 });
  expect(chooseVariant(nt(5, 64, 768), cpu)).toEqual({ ...lane, rows: 5 });
  expect(chooseVariant(nt(50), cpu)).toEqual({ ...lane, rows: 50, a: "texture" });
  expect(chooseVariant(nt(50), { lanes: 8 })).toEqual({ ...lane, rows: 50 });
  expect(chooseVariant(nt(50, 772), cpu)).toEqual({ ...lane, rows: 50 });
  expect(chooseVariant(nt(9000), cpu)).toEqual({ ...lane, rows: 64 });
  expect(chooseVariant({ layout: "tn", M: 64, K: 70, N: 768 }, cpu)).toEqual({ ...lane, rows: 32, a: "texture" });
  expect(chooseVariant(nt(50, 767), cpu)).toEqual({ family: "tile", size: 64 });
  expect(chooseVariant(nt(1), gpu)).toEqual({ family: "few-rows", rows: 1 });
  expect(chooseVariant(nt(50), gpu)).toEqual({ family: "tile", size: 64 });
  expect(chooseVariant(nt(2048, 2048, 2048), gpu)).toEqual({ family: "tile", size: 128 });
  const swiftshader = { lanes: 4, textures: true, adapter: { ...NO_ADAPTER, architecture: "swiftshader" } };
  expect(chooseVariant(nt(5), swiftshader)).toEqual({ family: "plain" });
  expect(chooseVariant(nt(1), swiftshader)).toMatchObject({ family: "lane", rows: 1 });
  expect(chooseVariant(nt(50, 767), swiftshader)).toEqual({ family: "tile", size: 64 });
  expect(chooseVariant(nt(2048, 2047, 2048), cpu)).toEqual({ family: "tile", size: 64 });
  expect(chooseVariant({ layout: "tn", M: 64, K: 7, N: 64 }, cpu)).toEqual({ ...lane, rows: 32 });
  expect(chooseVariant({ layout: "nn", M: 64, K: 64, N: 63 }, cpu)).toEqual({ family: "tile", size: 64 });
});
