import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROWS_CASES } from "../../src/kernels/rows/rows.cases.js";
import { add, addPositions, concatRows, gatherRows, sliceRows } from "../../src/kernels/rows/rows.js";
import { addPositionsRef, concatRowsRef, pickRowsRef, sliced, strided } from "../../src/kernels/rows/rows.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

describe("rows", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  const title = "$name [$batch * $length, $columns]";

  it.each(ROWS_CASES)(`gatherRows, last tokens: ${title}`, async ({ name, batch, length, columns }) => {
    const x = values(name, batch * length * columns);
    const options = { start: length - 1, stride: length, count: batch };
    const [y] = await runOp(device, (p) =>
      gatherRows(p, upload(p, "x", [batch * length, columns], x), { ...options, label: "y" }),
    );
    expect(nmse(y!, pickRowsRef(x, columns, strided(length - 1, length, batch)))).toBe(0);
  });

  it.each(ROWS_CASES)(`sliceRows, without the first: ${title}`, async ({ name, batch, length, columns }) => {
    const x = values(name, batch * (length + 1) * columns);
    const [y] = await runOp(device, (p) =>
      sliceRows(p, upload(p, "x", [batch * (length + 1), columns], x), { batch, from: 1, to: length + 1, label: "y" }),
    );
    expect(nmse(y!, pickRowsRef(x, columns, sliced(batch, length + 1, 1, length + 1)))).toBe(0);
  });

  it.each(ROWS_CASES)(`concatRows: ${title}`, async ({ name, batch, length, columns }) => {
    for (const shared of [false, true]) {
      const a = values(name, batch * length * columns);
      const rowsB = shared ? 3 : 3 * batch;
      const b = values("b", rowsB * columns);
      const [y] = await runOp(device, (p) =>
        concatRows(p, upload(p, "a", [batch * length, columns], a), upload(p, "b", [rowsB, columns], b), {
          batch,
          shared,
          label: "y",
        }),
      );
      expect(nmse(y!, concatRowsRef(a, b, batch, shared)), `shared ${shared}`).toBe(0);
    }
  });

  it.each(ROWS_CASES)(`addPositions: ${title}`, async ({ name, batch, length, columns }) => {
    const x = values(name, batch * length * columns);
    const table = values("table", (length + 2) * columns);
    const [y] = await runOp(device, (p) =>
      addPositions(p, upload(p, "x", [batch * length, columns], x), upload(p, "t", [length + 2, columns], table), {
        start: 2,
        period: length,
        label: "y",
      }),
    );
    expect(nmse(y!, addPositionsRef(x, table, columns, 2, length))).toBeLessThan(1e-13);
  });

  it("takes the first position from a scalar at each run", async () => {
    const p = new Program(device, "decode");
    const [x, table] = [values("x", 5 * 8), values("table", 6 * 8)];
    const start = p.scalar("position");
    const y = addPositions(p, upload(p, "x", [5, 8], x), upload(p, "t", [6, 8], table), {
      start,
      period: 1,
      label: "y",
    });
    p.keep(y);
    await p.compile();
    for (const position of [0, 5]) {
      const got = await p.run({ position }, [y]).f32();
      expect(nmse(got, addPositionsRef(x, table, 8, position, 1))).toBeLessThan(1e-13);
    }
    p.destroy();
  });

  it.each([[[3]], [[2, 3, 5]], [[4, 1024]]])("add %s", async (shape) => {
    const count = shape.reduce((a, b) => a * b);
    const [a, b] = [values("a", count), values("b", count)];
    const [y] = await runOp(device, (p) => add(p, upload(p, "a", shape, a), upload(p, "b", shape, b), { label: "y" }));
    expect(
      nmse(
        y!,
        Float64Array.from(a, (v, i) => v + b[i]!),
      ),
    ).toBeLessThan(1e-13);
  });

  it("refuses rows and positions that are not there", () => {
    const p = new Program(device, "refused");
    const x = p.transient("x", [6, 4]);
    const table = p.transient("wpe", [4, 4]);
    expect(() => gatherRows(p, x, { start: 2, stride: 2, count: 3, label: "y" })).toThrow(
      "y: 3 rows from 2 to 6, but x has 6 rows",
    );
    expect(() => sliceRows(p, x, { batch: 2, from: 1, to: 4, label: "y" })).toThrow("y: items 1 to 4 of 2 sequences");
    expect(() => sliceRows(p, x, { batch: 4, from: 0, to: 1, label: "y" })).toThrow("y: items 0 to 1 of 4 sequences");
    expect(() => concatRows(p, x, table, { batch: 3, label: "y" })).toThrow("y: cannot join x [6,4] and wpe [4,4]");
    expect(() => addPositions(p, x, table, { start: 2, period: 3, label: "y" })).toThrow(
      "y: position 4 is beyond wpe, which has 4",
    );
  });
});
