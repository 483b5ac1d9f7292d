import { expect, it } from "vitest";
import { crossEntropyBackwardRef, crossEntropyRef } from "../../../src/kernels/crossentropy/crossentropy.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

const CASES = [
  { rows: 1, vocabulary: 2, scale: 1 },
  { rows: 3, vocabulary: 7, scale: 3 },
  { rows: 5, vocabulary: 11, scale: 8 },
];

it.each(CASES)("crossEntropyBackwardRef of [$rows, $vocabulary] agrees with differences", (c) => {
  const { rows, vocabulary, scale } = c;
  const logits = Float64Array.from(values("logits", rows * vocabulary, scale));
  const targets = Array.from({ length: rows }, (_, i) => (i * 5 + 1) % vocabulary);
  const weights = values("weights", rows);
  const f = (z: Float64Array) => crossEntropyRef(z, targets, vocabulary);
  const got = crossEntropyBackwardRef(logits, targets, weights, vocabulary);
  expect(nmse(got, finiteDifferences(f, logits, weights))).toBeLessThan(1e-15);
});

it("agrees with the definition, also where exp overflows, and leaves out rows without a target", () => {
  const z = [1, 2, 3, 1000, 0, -1000, 5, 6, 7];
  const losses = crossEntropyRef(z, [2, 1, 3], 3);
  const [a, b, c] = [Math.exp(1), Math.exp(2), Math.exp(3)];
  expect(losses[0]).toBeCloseTo(-Math.log(c / (a + b + c)), 14);
  expect(losses[1]).toBe(1000);
  expect(losses[2]).toBe(0);
  expect([...crossEntropyBackwardRef(z, [2, 1, 3], [0, 1, 1], 3)]).toEqual([0, 0, 0, 1, -1, 0, 0, 0, 0]);
});
