import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { activation } from "../../src/kernels/activation/activation.js";
import { EMBEDDING_CASES } from "../../src/kernels/embedding/embedding.cases.js";
import { embedding, gatherIndexed } from "../../src/kernels/embedding/embedding.js";
import { embeddingBackwardRef, embeddingRef } from "../../src/kernels/embedding/embedding.ref.js";
import { linear } from "../../src/kernels/matmul/matmul.js";
import { add } from "../../src/kernels/rows/rows.js";
import { addPositionsRef } from "../../src/kernels/rows/rows.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { Tensor } from "../../src/runtime/tensor.js";
import { f16ToF32, f32ToF16 } from "../../src/weights/float.js";
import { leaf, nmse, runGradients, runOp, testDevice, upload, values } from "./harness.js";

/** Ids as the GPU holds them: u32. */
const u32 = (ids: readonly number[]) => Uint32Array.from(ids);

describe("embedding", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  it.each(EMBEDDING_CASES)("f32, $name [$vocabulary, $columns]", async ({ name, vocabulary, columns, ids }) => {
    const table = values(name, vocabulary * columns);
    const [y] = await runOp(device, (p) =>
      embedding(p, upload(p, "ids", [ids.length], u32(ids), "u32"), upload(p, "wte", [vocabulary, columns], table), {
        label: "y",
      }),
    );
    expect(nmse(y!, embeddingRef(ids, table, columns))).toBe(0);
  });

  const packed = EMBEDDING_CASES.filter((c) => c.columns % 4 === 0);

  it.each(packed)("f16, $name [$vocabulary, $columns]", async ({ name, vocabulary, columns, ids }) => {
    const halves = f32ToF16(values(name, vocabulary * columns, 10));
    halves[0] = 1; // the smallest subnormal
    const [y] = await runOp(device, (p) => {
      const wte = p.persistent("wte", [vocabulary, columns], "f16");
      device.write(wte, halves);
      return embedding(p, upload(p, "ids", [ids.length], u32(ids), "u32"), wte, { label: "y" });
    });
    expect(nmse(y!, embeddingRef(ids, f16ToF32(halves), columns))).toBe(0);
  });

  it.each(packed)("q8, $name [$vocabulary, $columns]", async ({ name, vocabulary, columns, ids }) => {
    const bytes = Int8Array.from(values(name, vocabulary * columns, 128), (v) => Math.floor(v));
    bytes[0] = -128;
    const scales = values("scales", vocabulary);
    const [y] = await runOp(device, (p) => {
      const scale = upload(p, "scale", [vocabulary], scales);
      const wte = device.tensor("wte", [vocabulary, columns], "q8", { scale });
      device.write(wte, bytes);
      return embedding(p, upload(p, "ids", [ids.length], u32(ids), "u32"), wte, { label: "y" });
    });
    const table = Float32Array.from(bytes, (v, i) => v * scales[Math.floor(i / columns)]!);
    expect(nmse(y!, embeddingRef(ids, table, columns))).toBe(0);
  });

  it("reads a table in three parts, one dispatch each", async () => {
    const [columns, bounds] = [8, [0, 5, 6, 11]];
    const data = values("parts", 11 * columns);
    const ids = [10, 0, 5, 4, 6, 11, 5];
    const parts = bounds.slice(1).map((end, i) => {
      const start = bounds[i]!;
      const bytes = (end - start) * columns * 4;
      return { buffer: device.buffer("wte", bytes), offset: 0, bytes, start, end };
    });
    const wte = new Tensor("wte", [11, columns], "f32", { kind: "buffers", parts });
    device.write(wte, data);
    const [y] = await runOp(device, (p) => {
      const out = embedding(p, upload(p, "ids", [ids.length], u32(ids), "u32"), wte, { label: "y" });
      expect(p.dispatches.length).toBe(3);
      return out;
    });
    expect(nmse(y!, embeddingRef(ids, data, columns))).toBe(0);
    device.free(wte);
  });

  const gradientCases = [
    ...EMBEDDING_CASES,
    { name: "one id", vocabulary: 3, columns: 4, ids: Array.from({ length: 200 }, () => 1) },
    { name: "no id in the table", vocabulary: 3, columns: 5, ids: [3, 7, 3] },
  ];

  it.each(gradientCases)("gradient, $name [$vocabulary, $columns]", async ({ name, vocabulary, columns, ids }) => {
    const dy = values(name, ids.length * columns);
    const [, got] = await runGradients(device, dy, (p) => {
      const table = leaf(p, "wte", [vocabulary, columns], values("wte", vocabulary * columns));
      const rows = upload(p, "ids", [ids.length], u32(ids), "u32");
      return { y: embedding(p, rows, table, { label: "y" }), leaves: [table] };
    });
    const expected = embeddingBackwardRef(ids, dy, vocabulary, columns);
    expect(nmse(got!, expected)).toBeLessThan(1e-13);
    expect(expected.findIndex((v, i) => v === 0 && got![i] !== 0)).toBe(-1);
  });

  it("gradient of a table that is used twice, and of rows gathered from a value", async () => {
    const [first, second] = [
      [1, 4, 1],
      [4, 2, 0],
    ];
    const dy = values("dy", 2 * 8);
    const [, got] = await runGradients(device, dy, (p) => {
      const table = leaf(p, "wte", [5, 8], values("wte", 40));
      const look = (name: string, ids: number[]) =>
        embedding(p, upload(p, name, [3], u32(ids), "u32"), table, { label: name });
      const stream = activation(p, add(p, look("a", first!), look("b", second!), { label: "sum" }), "none", {
        label: "stream",
      });
      const pick = (name: string, ids: number[]) =>
        gatherIndexed(p, stream, upload(p, name, [2], u32(ids), "u32"), { label: name });
      return { y: add(p, pick("c", [2, 0]), pick("d", [2, 2]), { label: "y" }), leaves: [table] };
    });
    const picked = embeddingBackwardRef([2, 0], dy, 3, 8);
    const stream = embeddingBackwardRef([2, 2], dy, 3, 8).map((v, i) => v + picked[i]!);
    const both = embeddingBackwardRef(first!, stream, 5, 8);
    const expected = embeddingBackwardRef(second!, stream, 5, 8).map((v, i) => v + both[i]!);
    expect(nmse(got!, expected)).toBeLessThan(1e-13);
  });

  it("gradient of a table that is also the head: both contributions", async () => {
    const [V, C, ids] = [6, 8, [5, 1, 5]];
    const [table, dy] = [values("wte", V * C), values("dy", ids.length * V)];
    const [, got] = await runGradients(device, dy, (p) => {
      const wte = leaf(p, "wte", [V, C], table);
      const h = embedding(p, upload(p, "ids", [3], u32(ids), "u32"), wte, { label: "h" });
      return { y: linear(p, h, wte, { label: "logits" }), leaves: [wte] };
    });
    const h = embeddingRef(ids, table, C);
    const dh = new Float64Array(ids.length * C);
    const head = new Float64Array(V * C);
    for (let i = 0; i < ids.length; i++) {
      for (let v = 0; v < V; v++) {
        for (let c = 0; c < C; c++) {
          dh[i * C + c]! += dy[i * V + v]! * table[v * C + c]!;
          head[v * C + c]! += dy[i * V + v]! * h[i * C + c]!;
        }
      }
    }
    const expected = embeddingBackwardRef(ids, dh, V, C).map((v, i) => v + head[i]!);
    expect(nmse(got!, expected)).toBeLessThan(1e-12);
  });

  it("gradient of a table in three parts", async () => {
    const [columns, bounds] = [8, [0, 5, 6, 11]];
    const split = (name: string, grad?: Tensor) => {
      const parts = bounds.slice(1).map((end, i) => {
        const bytes = (end - bounds[i]!) * columns * 4;
        return { buffer: device.buffer(name, bytes), offset: 0, bytes, start: bounds[i]!, end };
      });
      return new Tensor(name, [11, columns], "f32", { kind: "buffers", parts, grad });
    };
    const wte = split("wte", split("wte.grad"));
    const ids = [10, 0, 5, 4, 6, 11, 5];
    const dy = values("dy", ids.length * columns);
    const [, got] = await runGradients(device, dy, (p) => {
      return { y: embedding(p, upload(p, "ids", [7], u32(ids), "u32"), wte, { label: "y" }), leaves: [wte] };
    });
    expect(nmse(got!, embeddingBackwardRef(ids, dy, 11, columns))).toBeLessThan(1e-13);
    device.free(wte);
  });

  it("adds positions", async () => {
    const [table, wpe] = [values("table", 9 * 4), values("wpe", 7 * 4)];
    const ids = [1, 8, 0, 2, 2, 3];
    const [y] = await runOp(device, (p) =>
      embedding(p, upload(p, "ids", [6], u32(ids), "u32"), upload(p, "wte", [9, 4], table), {
        positions: { table: upload(p, "wpe", [7, 4], wpe), start: 4, period: 3 },
        label: "y",
      }),
    );
    expect(nmse(y!, addPositionsRef(embeddingRef(ids, table, 4), wpe, 4, 4, 3))).toBeLessThan(1e-13);
  });

  it("gathers rows of a value by index", async () => {
    const x = values("x", 12 * 48);
    const [y] = await runOp(device, (p) =>
      gatherIndexed(p, upload(p, "x", [12, 48], x), upload(p, "index", [2], u32([11, 3]), "u32"), { label: "y" }),
    );
    expect(nmse(y!, embeddingRef([11, 3], x, 48))).toBe(0);
  });

  it("refuses packed tables whose rows are no whole vectors", () => {
    const p = new Program(device, "refused");
    const wte = p.transient("wte", [9, 6], "f16");
    expect(() => embedding(p, p.transient("ids", [1], "u32"), wte, { label: "y" })).toThrow(
      "y: no lookup in wte, f16 [9,6] without scales",
    );
  });
});
