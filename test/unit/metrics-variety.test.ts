import { describe, expect, it } from "vitest";
import * as library from "../../src/metrics/variety.js";

type Options = Parameters<typeof library.varietyIntervals>[1];
const { describeVariety } = library;
const variety = (own: readonly string[], training?: readonly string[]) =>
  library.variety(describeVariety(own, training));
const varietyIntervals = (own: readonly string[], training?: readonly string[], options?: Options) =>
  library.varietyIntervals(describeVariety(own, training), options);
const compareVariety = (a: readonly string[], b: readonly string[], training?: readonly string[], options?: Options) =>
  library.compareVariety(describeVariety(a, training), describeVariety(b, training), options);

/** Numbers in [0, 1), of a linear congruence; the library's own generator stays out of its test. */
function uniform(seed: number): () => number {
  let state = BigInt(seed);
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) % 2n ** 64n;
    return Number(state >> 11n) / 2 ** 53;
  };
}

/** Captions of two to four words that follow Zipf's law, so that words, pairs and whole captions come again. */
function captions(images: number, seed: number): string[] {
  const random = uniform(seed);
  const word = () => `w${Math.floor(60 ** random())}`;
  return Array.from({ length: images }, () => Array.from({ length: 2 + Math.floor(3 * random()) }, word).join(" "));
}

const NAMES = ["vocabulary", "distinctCaptions", "distinct1", "distinct2", "novel", "words"] as const;
const TRAINING = captions(3000, 99);

// Nominal are 95 of 100 intervals and 5 of 100 pairs; pairs of words overlap, so they are not drawn on their own.
describe("variety", () => {
  it("are the numbers of the captions, and novel only beside a training set", () => {
    const own = ["a dog runs", "a dog runs", "a cat", ""];
    const value = { vocabulary: 4, distinctCaptions: 3 / 4, distinct1: 4 / 8, distinct2: 3 / 5, words: 2 };
    expect(variety(own)).toEqual(value);
    expect(variety(own, ["a dog runs"])).toEqual({ ...value, novel: 1 / 2 });
    expect(varietyIntervals(own).novel).toBeUndefined();
  });

  it("intervals cover the mean of many sets of that size in at least 85 of 100 sets", () => {
    const sets = Array.from({ length: 200 }, (_, i) => variety(captions(200, 1000 + i), TRAINING));
    const covered = Object.fromEntries(NAMES.map((name) => [name, 0]));
    for (let i = 0; i < 100; i++) {
      const ends = varietyIntervals(captions(200, i), TRAINING, { resamples: 200 });
      for (const name of NAMES) {
        const mean = sets.reduce((sum, set) => sum + set[name]!, 0) / sets.length;
        covered[name]! += ends[name]![0] <= mean && mean <= ends[name]![1] ? 1 : 0;
      }
    }
    for (const name of NAMES) expect(covered[name], name).toBeGreaterThanOrEqual(85);
  });

  it("intervals are no wider than twice what sets of that size do", () => {
    const sets = Array.from({ length: 200 }, (_, i) => variety(captions(200, 1000 + i), TRAINING));
    const ends = varietyIntervals(captions(200, 7), TRAINING);
    for (const name of NAMES) {
      const values = sets.map((set) => set[name]!).sort((a, b) => a - b);
      expect(ends[name]![1] - ends[name]![0], name).toBeLessThan(2 * (values[194]! - values[5]!));
    }
  });

  it("of one caption, of captions all alike and of none alike stay inside their limits", () => {
    for (const own of [["a dog"], ["a", "a", "a"], ["a b", "c d", "e f"], [""]]) {
      const [value, ends] = [variety(own, ["a"]), varietyIntervals(own, ["a"])];
      for (const name of NAMES) {
        const [low, high] = ends[name]!;
        expect(0 <= low && low <= value[name]! && value[name]! <= high, `${name} of ${own}`).toBe(true);
        if (name !== "vocabulary" && name !== "words") expect(high).toBeLessThanOrEqual(1);
      }
    }
  });
});

describe("two systems", () => {
  const differences = (
    first: readonly string[],
    second: readonly string[],
  ): library.Variety<{ p: number; difference: number }> => compareVariety(first, second, TRAINING);

  it("that say the same do not differ, and one that repeats itself does", () => {
    const own = captions(200, 1);
    const same = differences(own, own);
    for (const name of NAMES) expect(same[name]).toMatchObject({ difference: 0, p: 1 });
    const dull = differences(
      own,
      own.map((caption, i) => (i % 2 === 0 ? "w1 w1 w1 w1 w1" : caption)),
    );
    for (const name of NAMES) if (name !== "vocabulary") expect(dull[name]!.p, name).toBeLessThan(0.05);
    expect(dull.distinctCaptions.difference).toBeLessThan(-0.4);
  });

  it("of like captions are told apart in at most 15 of 100 pairs", () => {
    const found = Object.fromEntries(NAMES.map((name) => [name, 0]));
    for (let i = 0; i < 100; i++) {
      const result = compareVariety(captions(150, 2 * i), captions(150, 2 * i + 1), TRAINING, { resamples: 200 });
      for (const name of NAMES) found[name]! += result[name]!.p < 0.05 ? 1 : 0;
    }
    for (const name of NAMES) expect(found[name], name).toBeLessThanOrEqual(15);
  });

  it("on other numbers of images are an error", () => {
    expect(() => compareVariety(["a"], ["a", "b"])).toThrow("scored on 1 and 2 images");
  });
});
