import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EMBEDDING_CASES } from "../../src/kernels/embedding/embedding.cases.js";
import { embedding, gatherIndexed } from "../../src/kernels/embedding/embedding.js";
import { embeddingRef } from "../../src/kernels/embedding/embedding.ref.js";
import { addPositionsRef } from "../../src/kernels/rows/rows.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { Tensor } from "../../src/runtime/tensor.js";
import { f16ToF32, f32ToF16 } from "../../src/weights/float.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

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
