import { expect, it } from "vitest";
import { l2NormalizeBackwardRef, l2NormalizeRef } from "../../../src/kernels/l2norm/l2norm.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

it.each([
  [1, 2],
  [3, 7],
])("l2 norm's backward agrees with differences: [%i, %i]", (rows, columns) => {
  const [x, dy] = [values("x", rows * columns), values("dy", rows * columns)];
  const expected = finiteDifferences((v) => l2NormalizeRef(v, columns), x, dy);
  expect(nmse(l2NormalizeBackwardRef(x, dy, columns), expected)).toBeLessThan(1e-14);
});

it("a row of zeros has gradient zero", () => {
  expect([...l2NormalizeBackwardRef([0, 0], [1, 2], 2)]).toEqual([0, 0]);
});
