import { expect, it } from "vitest";
import { type Augmentation, augment } from "../../src/data/image/augment.js";
import { resize } from "../../src/data/image/resize.js";
import type { RgbImage } from "../../src/data/image/rgb.js";
import { random } from "../../src/data/random.js";

/** Every pixel says where it is. */
const image: RgbImage = {
  width: 40,
  height: 30,
  data: Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return i % 3 === 0 ? 6 * (pixel % 40) : i % 3 === 1 ? 8 * Math.floor(pixel / 40) : 128;
  }),
};
const NONE: Augmentation = { area: [1, 1], ratio: [4 / 3, 4 / 3], flip: false, jitter: 0 };

it("nothing asked for is the whole picture, resized", () => {
  expect(augment(image, 16, 16, NONE, random(1, "a"))).toEqual(resize(image, 16, 16));
});

it("the same numbers give the same picture, others another", () => {
  const all: Augmentation = { area: [0.35, 1], ratio: [0.75, 4 / 3], flip: true, jitter: 0.2 };
  const of = (key: number) => augment(image, 16, 16, all, random(1, "a", key));
  expect(of(1)).toEqual(of(1));
  expect(of(1)).not.toEqual(of(2));
  expect(image.data[3]).toBe(6); // the original is not touched
});

it("keeps a part of the asked-for area, anywhere in the picture", () => {
  const half: Augmentation = { ...NONE, area: [0.25, 0.25] }; // 20 x 15 pixels
  const corners = Array.from({ length: 200 }, (_, i) => {
    const { data } = augment(image, 20, 15, half, random(1, "a", i));
    expect(data[19 * 3]! - data[0]!).toBe(6 * 19);
    expect(data[14 * 20 * 3 + 1]! - data[1]!).toBe(8 * 14);
    return [data[0]! / 6, data[1]! / 8] as const;
  });
  const [left, top] = [corners.map(([x]) => x), corners.map(([, y]) => y)];
  expect([Math.min(...left), Math.max(...left)]).toEqual([0, 20]);
  expect([Math.min(...top), Math.max(...top)]).toEqual([0, 15]);
});

it("mirrors about half of the pictures", () => {
  const flip: Augmentation = { ...NONE, flip: true };
  const mirrored = Array.from({ length: 200 }, (_, i) => augment(image, 40, 30, flip, random(1, "a", i)).data[0] !== 0);
  const count = mirrored.filter(Boolean).length;
  expect(count).toBeGreaterThan(70);
  expect(count).toBeLessThan(130);
  const one = augment(image, 40, 30, flip, random(1, "a", mirrored.indexOf(true)));
  for (let x = 0; x < 40; x++) expect(one.data[x * 3]).toBe(6 * (39 - x));
});

it("a ratio that never fits leaves the picture whole", () => {
  const wide: Augmentation = { ...NONE, ratio: [8, 8] };
  expect(augment(image, 16, 16, wide, random(1, "a"))).toEqual(resize(image, 16, 16));
});

it("shifts colours by at most the asked-for part, and grey stays grey", () => {
  const grey: RgbImage = { width: 8, height: 8, data: new Uint8Array(8 * 8 * 3).fill(100) };
  const jitter: Augmentation = { ...NONE, ratio: [1, 1], jitter: 0.2 };
  const values = Array.from({ length: 200 }, (_, i) => {
    const { data } = augment(grey, 8, 8, jitter, random(1, "a", i));
    expect(new Set(data).size).toBe(1);
    return data[0]!;
  });
  expect(Math.min(...values)).toBeGreaterThanOrEqual(80);
  expect(Math.max(...values)).toBeLessThanOrEqual(120);
  expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(30);
});
