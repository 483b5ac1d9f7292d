import { expect, it } from "vitest";
import { nearest } from "../../src/data/nearest.js";

it("ranks by direction and not by length; the earlier one first where two are equal", () => {
  const vectors = [
    [0, 5],
    [0.1, 0.1],
    [-9, 0],
    [40, 40],
    [0, 0],
    [3, 0],
  ].map((v) => Float32Array.from(v));
  const found = nearest(Float32Array.of(2, 0), vectors, 5);
  expect(found.map(({ index }) => index)).toEqual([5, 1, 3, 0, 4]);
  const cosines = [1, Math.SQRT1_2, Math.SQRT1_2, 0, 0];
  found.forEach(({ cosine }, i) => {
    expect(cosine).toBeCloseTo(cosines[i]!, 6);
  });
  expect(nearest(Float32Array.of(1, 0), [], 3)).toEqual([]);
});
