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
  ];
  const table = Float32Array.from(vectors.flat());
  const found = nearest(Float32Array.of(2, 0), table, [0, 1, 2, 3, 4, 5], 5);
  expect(found.map(({ index }) => index)).toEqual([5, 1, 3, 0, 4]);
  const cosines = [1, Math.SQRT1_2, Math.SQRT1_2, 0, 0];
  found.forEach(({ cosine }, i) => {
    expect(cosine).toBeCloseTo(cosines[i]!, 6);
  });
  expect(nearest(Float32Array.of(2, 0), table, [2, 0, 5, 3], 2).map(({ index }) => index)).toEqual([2, 3]);
  expect(nearest(Float32Array.of(1, 0), table, [], 3)).toEqual([]);
});
