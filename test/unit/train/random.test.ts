import { expect, it } from "vitest";
import { random } from "../../../src/data/random.js";

it("depends on seed, stream and index alone", () => {
  const a = random(7, "order", 3);
  const b = random(7, "order", 3);
  expect(b.uniform(5)).toBe(a.uniform(5)); // asked out of turn
  expect([0, 1, 2].map((i) => b.uniform(i))).toEqual([0, 1, 2].map((i) => a.uniform(i)));
  for (const other of [
    random(8, "order", 3),
    random(7, "order", 4),
    random(7, "augment", 3),
    random(7, "order", 3, 0),
  ]) {
    expect(other.uniform(5)).not.toBe(a.uniform(5));
  }
});

it("is the same for ever: checkpoints of runs depend on it", () => {
  const { uniform, normal, permutation } = random(1, "pinned", 2);
  expect([0, 1, 2].map(uniform)).toEqual([0.679514744784683, 0.8181999321095645, 0.3194598767440766]);
  expect(normal(0)).toBeCloseTo(0.6268463172797349, 12);
  expect([...permutation(8)]).toEqual([3, 4, 5, 2, 7, 0, 6, 1]);
});

it("is uniform and normal", () => {
  const N = 100_000;
  const { uniform, normal, below } = random(3, "moments");
  let [mean, square, normalMean, normalSquare, fourth] = [0, 0, 0, 0, 0];
  let outside = 0;
  const counts = new Array<number>(7).fill(0);
  for (let i = 0; i < N; i++) {
    const [u, z] = [uniform(i), normal(i)];
    if (!(u >= 0 && u < 1)) outside++;
    mean += u / N;
    square += u ** 2 / N;
    normalMean += z / N;
    normalSquare += z ** 2 / N;
    fourth += z ** 4 / N;
    counts[below(7, i)]!++;
  }
  expect(outside).toBe(0);
  // Five standard errors of each mean.
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.0046);
  expect(Math.abs(square - 1 / 3)).toBeLessThan(0.0048);
  expect(Math.abs(normalMean)).toBeLessThan(0.016);
  expect(Math.abs(normalSquare - 1)).toBeLessThan(0.023);
  expect(Math.abs(fourth - 3)).toBeLessThan(0.16);
  for (const n of counts) expect(Math.abs(n - N / 7)).toBeLessThan(5 * Math.sqrt(N / 7));
});

it("permutes without loss", () => {
  const order = random(5, "p").permutation(1000);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(order.filter((v, i) => v === i).length).toBeLessThan(10); // one is expected
});
