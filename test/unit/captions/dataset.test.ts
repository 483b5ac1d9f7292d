import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Split, splitByImage } from "../../../src/data/captions/dataset.js";

const image = (id: string, split?: Split) => ({ id, split });
const numbered = (count: number) => Array.from({ length: count }, (_, i) => image(`photo-${i}.jpg`));
const ids = (images: readonly { readonly id: string }[]) => images.map(({ id }) => id).sort();

describe("splitByImage", () => {
  test("the share is the fraction's, and every image is somewhere", () => {
    const { train, dev, test: held } = splitByImage(numbered(20_000), { fraction: 0.1, seed: 1 });
    expect(train.length + dev.length).toBe(20_000);
    expect(held).toEqual([]);
    expect(Math.abs(dev.length - 2000)).toBeLessThan(170); // four deviations of a binomial
  });

  test("neither the order nor further images move an image", () => {
    const some = numbered(1000);
    const dev = ids(splitByImage(some, { fraction: 0.2, seed: 7 }).dev);
    expect(ids(splitByImage([...some].reverse(), { fraction: 0.2, seed: 7 }).dev)).toEqual(dev);
    const known = new Set(ids(some));
    const more = splitByImage(numbered(2000), { fraction: 0.2, seed: 7 }).dev;
    expect(ids(more).filter((id) => known.has(id))).toEqual(dev);
  });

  test("the seed decides", () => {
    const [one, two] = [1, 2].map((seed) => ids(splitByImage(numbered(1000), { fraction: 0.5, seed }).dev));
    const both = one!.filter((id) => two!.includes(id));
    expect(Math.abs(both.length - 250)).toBeLessThan(70);
  });

  test("the data's own split wins", () => {
    const images = [image("a", "train"), image("b", "dev"), image("c", "test"), image("d"), image("e")];
    const parts = splitByImage(images, { fraction: 0.5, seed: 1 });
    expect(ids(parts.test)).toEqual(["c"]);
    expect(ids(parts.dev)).toContain("b");
    expect(ids(parts.train)).toContain("a");
    expect(parts.dev.length).toBe(2);
  });

  test("small sets leave neither side empty, one image is trained on, and 0 means none", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 12 }),
        fc.integer(),
        fc.double({ min: 0.01, max: 0.99 }),
        (n, seed, fraction) => {
          const { train, dev } = splitByImage(numbered(n), { fraction, seed });
          expect(Math.min(train.length, dev.length)).toBeGreaterThan(0);
        },
      ),
      { seed: 1 },
    );
    expect(splitByImage(numbered(1), { fraction: 0.9, seed: 1 }).train.length).toBe(1);
    expect(splitByImage(numbered(100), { fraction: 0, seed: 1 }).dev).toEqual([]);
  });
});
