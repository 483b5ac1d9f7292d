import { expect, it } from "vitest";
import { CONTRASTIVE_CASES } from "../../../src/kernels/contrastive/contrastive.cases.js";
import { contrastiveBackwardRef, contrastiveRef } from "../../../src/kernels/contrastive/contrastive.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

it.each(CONTRASTIVE_CASES)("$name: contrastiveBackwardRef agrees with differences", (c) => {
  const { batch, width, logitScale } = c;
  const images = Float64Array.from(values("images", batch * width));
  const texts = Float64Array.from(values("texts", batch * width));
  const got = contrastiveBackwardRef(images, texts, logitScale, width);
  const differences = (f: (x: Float64Array) => number, x: Float64Array) => finiteDifferences((v) => [f(v)], x, [1]);
  const dimages = differences((x) => contrastiveRef(x, texts, logitScale, width), images);
  const dtexts = differences((x) => contrastiveRef(images, x, logitScale, width), texts);
  const [dscale] = differences((x) => contrastiveRef(images, texts, x[0]!, width), Float64Array.of(logitScale));
  expect(nmse(got.dimages, dimages)).toBeLessThan(1e-15);
  expect(nmse(got.dtexts, dtexts)).toBeLessThan(1e-15);
  expect(got.dlogitScale).toBeCloseTo(dscale!, 8);
});

it("is log B where nothing is alike, and nothing for a single pair", () => {
  expect(contrastiveRef([1, 0, 0, 1], [0, 0, 0, 0], 3, 2)).toBeCloseTo(Math.log(2), 14);
  expect(contrastiveRef([3, 4], [-1, 2], 3, 2)).toBe(0);
});
