import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROWS_CASES } from "../../src/kernels/rows/rows.cases.js";
import { add, addPositions, concatRows, gatherRows, repeatRows, sliceRows } from "../../src/kernels/rows/rows.js";
import {
  addPositionsBackwardRef,
  addPositionsRef,
  concatRowsBackwardRef,
  concatRowsRef,
  pickRowsBackwardRef,
  pickRowsRef,
  sliced,
  strided,
} from "../../src/kernels/rows/rows.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { leaf, nmse, runGradients, runOp, testDevice, upload, values } from "./harness.js";

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

  it.each(ROWS_CASES)(`repeatRows and its gradient: ${title}`, async ({ name, batch, length, columns }) => {
    const rows = batch * length;
    const index = [...sliced(1, rows, 0, rows), ...sliced(1, rows, 0, rows), ...sliced(1, rows, 0, rows)];
    const [x, dy] = [values(name, rows * columns), values("dy", 3 * rows * columns)];
    const [y, dx] = await runGradients(device, dy, (p) => {
      const input = leaf(p, "x", [rows, columns], x);
      return { y: repeatRows(p, input, 3, { label: "y" }), leaves: [input] };
    });
    expect(nmse(y!, pickRowsRef(x, columns, index))).toBe(0);
    expect(nmse(dx!, pickRowsBackwardRef(dy, columns, index, rows))).toBeLessThan(1e-13);
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

  it.each(ROWS_CASES)(`gradients of gatherRows and sliceRows: ${title}`, async ({ name, batch, length, columns }) => {
    const rows = batch * (length + 1);
    const x = values(name, rows * columns);
    const last = values("last", batch * columns);
    const [, gathered] = await runGradients(device, last, (p) => {
      const input = leaf(p, "x", [rows, columns], x);
      const options = { start: length, stride: length + 1, count: batch, label: "y" };
      return { y: gatherRows(p, input, options), leaves: [input] };
    });
    expect(nmse(gathered!, pickRowsBackwardRef(last, columns, strided(length, length + 1, batch), rows))).toBe(0);
    const dy = values("dy", batch * length * columns);
    const [, cut] = await runGradients(device, dy, (p) => {
      const input = leaf(p, "x", [rows, columns], x);
      return { y: sliceRows(p, input, { batch, from: 0, to: length, label: "y" }), leaves: [input] };
    });
    expect(nmse(cut!, pickRowsBackwardRef(dy, columns, sliced(batch, length + 1, 0, length), rows))).toBe(0);
  });

  it.each(ROWS_CASES)(`gradients of concatRows: ${title}`, async ({ name, batch, length, columns }) => {
    for (const shared of [false, true]) {
      const [rowsA, rowsB] = [batch * length, shared ? 3 : 3 * batch];
      const dy = values(name, batch * (length + 3) * columns);
      const expected = concatRowsBackwardRef(dy, rowsA * columns, rowsB * columns, batch, shared);
      const [, da, db] = await runGradients(device, dy, (p) => {
        const a = leaf(p, "a", [rowsA, columns], values("a", rowsA * columns));
        const b = leaf(p, "b", [rowsB, columns], values("b", rowsB * columns));
        return { y: concatRows(p, a, b, { batch, shared, label: "y" }), leaves: [a, b] };
      });
      expect(nmse(da!, expected.da), `shared ${shared}`).toBe(0);
      expect(nmse(db!, expected.db), `shared ${shared}`).toBeLessThan(1e-13);
    }
  });

  it.each(ROWS_CASES)(`gradients of addPositions: ${title}`, async ({ name, batch, length, columns }) => {
    for (const rows of [batch * length, batch * length - 1].filter((n) => n > 0)) {
      const dy = values(name, rows * columns);
      const [, dx, dtable] = await runGradients(device, dy, (p) => {
        const x = leaf(p, "x", [rows, columns], values("x", rows * columns));
        const table = leaf(p, "t", [length + 5, columns], values("t", (length + 5) * columns));
        return { y: addPositions(p, x, table, { start: 2, period: length, label: "y" }), leaves: [x, table] };
      });
      expect(nmse(dx!, dy)).toBe(0);
      expect(nmse(dtable!, addPositionsBackwardRef(dy, length + 5, columns, 2, length))).toBeLessThan(1e-13);
    }
  });

  it("adds up the gradients of a value and of a table that are used several times", async () => {
    const [x, table, dy] = [values("x", 6 * 4), values("t", 3 * 4), values("dy", 4 * 4)];
    const [, dx, dtable] = await runGradients(device, dy, (p) => {
      const leaves = [leaf(p, "x", [6, 4], x), leaf(p, "t", [3, 4], table)] as const;
      const stream = addPositions(p, leaves[0], leaves[1], { start: 0, period: 3, label: "stream" });
      const a = sliceRows(p, stream, { batch: 2, from: 0, to: 2, label: "a" });
      const b = sliceRows(p, stream, { batch: 2, from: 1, to: 3, label: "b" });
      const both = add(p, a, b, { label: "both" });
      return { y: addPositions(p, both, leaves[1], { start: 1, period: 2, label: "y" }), leaves };
    });
    const first = pickRowsBackwardRef(dy, 4, sliced(2, 3, 0, 2), 6);
    const stream = pickRowsBackwardRef(dy, 4, sliced(2, 3, 1, 3), 6).map((v, i) => v + first[i]!);
    const second = addPositionsBackwardRef(dy, 3, 4, 1, 2);
    expect(nmse(dx!, stream)).toBeLessThan(1e-13);
    expect(
      nmse(
        dtable!,
        addPositionsBackwardRef(stream, 3, 4, 0, 3).map((v, i) => v + second[i]!),
      ),
    ).toBeLessThan(1e-13);
  });

  it("gives rows that were not gathered no gradient, whatever lies behind dy", async () => {
    const dy = values("dy", 2);
    const [, dx] = await runGradients(device, dy, (p) => {
      const leaves = [leaf(p, "x", [5, 1], values("x", 5))] as const;
      // Three elements and poison: the fourth of the 16 bytes belongs to no row.
      const gathered = gatherRows(p, leaves[0], { start: 0, stride: 1, count: 3, label: "gathered" });
      return { y: sliceRows(p, gathered, { batch: 1, from: 0, to: 2, label: "y" }), leaves };
    });
    expect([...dx!]).toEqual([dy[0], dy[1], 0, 0, 0]);
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

  it("add, three times the same value", async () => {
    const [a, b, dy] = [values("a", 12), values("b", 12), values("dy", 12)];
    const [y, da, db] = await runGradients(device, dy, (p) => {
      const leaves = [leaf(p, "a", [3, 4], a), leaf(p, "b", [3, 4], b)] as const;
      const sum = add(p, ...leaves, { label: "sum" });
      const twice = add(p, sum, sum, { label: "twice" });
      return { y: add(p, twice, sum, { label: "y" }), leaves };
    });
    const times3 = (x: ArrayLike<number>) => Float64Array.from(x, (v) => 3 * v);
    expect(nmse(y!, times3(a.map((v, i) => v + b[i]!)))).toBeLessThan(1e-13);
    expect(nmse(da!, times3(dy))).toBeLessThan(1e-13);
    expect(nmse(db!, times3(dy))).toBeLessThan(1e-13);
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
