import { expect, it } from "vitest";
import {
  assembleTokensBackwardRef,
  assembleTokensRef,
  patchesBackwardRef,
  patchesRef,
} from "../../../src/kernels/patch/patch.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

it.each([
  [1, 3, 4, 2],
  [2, 2, 5, 2],
  [2, 1, 3, 3],
])("the backward of patches agrees with differences: %i images of %i x %i squared, patch %i", (b, c, size, patch) => {
  const pixels = values("pixels", b * c * size * size);
  const dy = values("dy", b * c * (Math.floor(size / patch) * patch) ** 2);
  const expected = finiteDifferences((v) => patchesRef(v, b, c, size, patch), pixels, dy);
  expect(nmse(patchesBackwardRef(dy, b, c, size, patch), expected)).toBeLessThan(1e-14);
});

it.each([1, 3])("the backward of tokens agrees with differences: %i images", (batch) => {
  const [columns, length] = [4, 5];
  const x = values("x", batch * (length - 1) * columns);
  const [cls, positions] = [values("cls", columns), values("positions", length * columns)];
  const dy = values("dy", batch * length * columns);
  const { dpatches, dcls, dpositions } = assembleTokensBackwardRef(dy, columns, length);
  const differences = (f: (v: Float64Array) => Float64Array, at: Float32Array) => finiteDifferences(f, at, dy);
  expect(
    nmse(
      dpatches,
      differences((v) => assembleTokensRef(v, cls, positions, batch), x),
    ),
  ).toBeLessThan(1e-14);
  expect(
    nmse(
      dcls,
      differences((v) => assembleTokensRef(x, v, positions, batch), cls),
    ),
  ).toBeLessThan(1e-14);
  expect(
    nmse(
      dpositions,
      differences((v) => assembleTokensRef(x, cls, v, batch), positions),
    ),
  ).toBeLessThan(1e-14);
});
