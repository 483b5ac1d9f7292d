import { describe, expect, it } from "vitest";
import {
  addPositionsBackwardRef,
  addPositionsRef,
  concatRowsBackwardRef,
  concatRowsRef,
  pickRowsBackwardRef,
  pickRowsRef,
  sliced,
  strided,
} from "../../../src/kernels/rows/rows.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

describe("the backward of rows agrees with differences", () => {
  it.each([
    ["gather", strided(2, 3, 3)],
    ["slice", sliced(3, 3, 1, 3)],
    ["one row twice", [4, 0, 4]],
  ])("%s", (_, index) => {
    const [x, dy] = [values("x", 9 * 2), values("dy", index.length * 2)];
    const dx = finiteDifferences((v) => pickRowsRef(v, 2, index), x, dy);
    expect(nmse(pickRowsBackwardRef(dy, 2, index, 9), dx)).toBeLessThan(1e-14);
  });

  it.each([false, true])("concat, shared %s", (shared) => {
    const [a, b, dy] = [values("a", 12), values("b", shared ? 4 : 8), values("dy", 20)];
    const { da, db } = concatRowsBackwardRef(dy, a.length, b.length, 2, shared);
    expect(
      nmse(
        da,
        finiteDifferences((v) => concatRowsRef(v, b, 2, shared), a, dy),
      ),
    ).toBeLessThan(1e-14);
    expect(
      nmse(
        db,
        finiteDifferences((v) => concatRowsRef(a, v, 2, shared), b, dy),
      ),
    ).toBeLessThan(1e-14);
  });

  it("positions, also where the last sequence is cut short", () => {
    const [x, table, dy] = [values("x", 7 * 2), values("table", 6 * 2), values("dy", 7 * 2)];
    const dtable = addPositionsBackwardRef(dy, 6, 2, 2, 3);
    const expected = finiteDifferences((v) => addPositionsRef(x, v, 2, 2, 3), table, dy);
    expect(nmse(dtable, expected)).toBeLessThan(1e-14);
  });
});
