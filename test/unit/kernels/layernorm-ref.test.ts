import { expect, it } from "vitest";
import { layerNormBackwardRef, layerNormRef } from "../../../src/kernels/layernorm/layernorm.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

it.each([
  [1, 2],
  [3, 7],
  [4, 16],
])("layer norm's backward agrees with differences: [%i, %i]", (rows, columns) => {
  const [x, weight, bias] = [values("x", rows * columns, 2), values("w", columns), values("b", columns)];
  const dy = values("dy", rows * columns);
  const { dx, dweight, dbias } = layerNormBackwardRef(x, weight, 1e-2, dy);
  expect(
    nmse(
      dx,
      finiteDifferences((v) => layerNormRef(v, weight, bias, 1e-2), x, dy),
    ),
  ).toBeLessThan(1e-14);
  expect(
    nmse(
      dweight,
      finiteDifferences((v) => layerNormRef(x, v, bias, 1e-2), weight, dy),
    ),
  ).toBeLessThan(1e-14);
  expect(
    nmse(
      dbias,
      finiteDifferences((v) => layerNormRef(x, weight, v, 1e-2), bias, dy),
    ),
  ).toBeLessThan(1e-14);
});
