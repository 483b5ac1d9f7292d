import { expect, it } from "vitest";
import {
  logSoftmaxBackwardRef,
  logSoftmaxRef,
  softmaxBackwardRef,
  softmaxRef,
} from "../../../src/kernels/softmax/softmax.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

it.each([
  [2, 1],
  [1, 2],
  [3, 7],
])("the backward of softmax and its logarithm agree with differences: [%i, %i]", (rows, columns) => {
  const [x, dy] = [values("x", rows * columns, 3), values("dy", rows * columns)];
  const plain = finiteDifferences((v) => softmaxRef(v, columns), x, dy);
  const log = finiteDifferences((v) => logSoftmaxRef(v, columns), x, dy);
  expect(nmse(softmaxBackwardRef(x, dy, columns), plain)).toBeLessThan(1e-14);
  expect(nmse(logSoftmaxBackwardRef(x, dy, columns), log)).toBeLessThan(1e-14);
});
