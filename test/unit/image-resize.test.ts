import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { resize } from "../../src/data/image/resize.js";
import { type RgbImage, rgbFromChannels, rgbFromCmyk } from "../../src/data/image/rgb.js";

const side = fc.integer({ min: 1, max: 24 });

/** A picture with no structure to help the resampler. */
function noise(width: number, height: number, seed: number): RgbImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => Math.imul(i + seed, 0x9e3779b1) >>> 24);
  return { width, height, data };
}

describe("resize", () => {
  test("to its own size is the identity", () => {
    fc.assert(
      fc.property(side, side, fc.nat(1000), (w, h, seed) => {
        const image = noise(w, h, seed);
        expect(resize(image, w, h)).toEqual(image);
      }),
      { seed: 1 },
    );
  });

  test("keeps a constant image constant", () => {
    fc.assert(
      fc.property(side, side, side, side, fc.nat(255), (w, h, w2, h2, grey) => {
        const image = { width: w, height: h, data: new Uint8Array(w * h * 3).fill(grey) };
        const resized = resize(image, w2, h2);
        expect(resized).toEqual({ width: w2, height: h2, data: new Uint8Array(w2 * h2 * 3).fill(grey) });
      }),
      { seed: 2 },
    );
  });

  test("a window equals that part of the whole", () => {
    fc.assert(
      fc.property(side, side, side, side, fc.nat(99), fc.nat(99), fc.nat(1000), (w, h, w2, h2, a, b, seed) => {
        const image = noise(w, h, seed);
        const left = a % w2;
        const top = b % h2;
        const part = { left, top, width: w2 - left, height: Math.max(1, (h2 - top) >> 1) };
        const whole = resize(image, w2, h2);
        const want: number[] = [];
        for (let y = top; y < top + part.height; y++) {
          want.push(...whole.data.subarray((y * w2 + left) * 3, (y + 1) * w2 * 3));
        }
        expect([...resize(image, w2, h2, part).data]).toEqual(want);
      }),
      { seed: 3 },
    );
  });

  test("treats the three channels alike, and columns like rows of the transposed image where one side is kept", () => {
    const image = noise(17, 9, 5);
    const transposed = transpose(image);
    expect(transpose(resize(transposed, 9, 40))).toEqual(resize(image, 40, 9));
    const swapped = { ...image, data: image.data.map((_, i) => image.data[i - (i % 3) + ((i + 1) % 3)]!) };
    const want = resize(image, 5, 5);
    expect(resize(swapped, 5, 5).data).toEqual(want.data.map((_, i) => want.data[i - (i % 3) + ((i + 1) % 3)]!));
  });

  test("sharpens an edge with overshoot that is cut at 0 and 255", () => {
    const row = [0, 0, 0, 0, 255, 255, 255, 255].flatMap((v) => [v, v, v]);
    const { data } = resize({ width: 8, height: 1, data: Uint8Array.from(row) }, 32, 1);
    expect(Math.min(...data)).toBe(0);
    expect(Math.max(...data)).toBe(255);
    // Pixels 15 and 16 lie symmetrically about the edge.
    expect(data[15 * 3]! + data[16 * 3]!).toBe(255);
  });

  test("computes only the window of a picture that would become gigantic", () => {
    // 1x65,000 at 4,096 wide is 266 million rows (3.3 TB of pixels).
    const image = noise(1, 65_000, 7);
    const view = resize(image, 4096, 4096 * 65_000, { left: 0, top: 133_000_000, width: 4, height: 4 });
    expect(view.data.length).toBe(48);
  });

  test.each([
    [0, 5, undefined, "positive integers"],
    [5, 2.5, undefined, "positive integers"],
    [5, Number.NaN, undefined, "positive integers"],
    [5, 5, { left: 1, top: 0, width: 5, height: 5 }, "5x5 at 1,0 does not lie inside the resized 5x5 image"],
    [5, 5, { left: 0, top: -1, width: 5, height: 5 }, "does not lie inside"],
  ])("refuses %s x %s with window %o", (width, height, window, message) => {
    expect(() => resize(noise(3, 3, 0), width, height, window)).toThrow(message);
  });

  test("refuses an image whose data does not fit its size", () => {
    expect(() => resize({ width: 4, height: 4, data: new Uint8Array(47) }, 2, 2)).toThrow(
      "a 4x4 RGB image needs 3 bytes a pixel, not 47 in all",
    );
  });
});

describe("channels", () => {
  test("grey, grey with alpha, RGB and RGBA become RGB with the hidden colour kept", () => {
    expect([...rgbFromChannels(Uint8Array.of(7, 9), 2, 1)]).toEqual([7, 7, 7, 9, 9, 9]);
    expect([...rgbFromChannels(Uint8Array.of(7, 0, 9, 255), 2, 2)]).toEqual([7, 7, 7, 9, 9, 9]);
    expect([...rgbFromChannels(Uint8Array.of(1, 2, 3), 1, 3)]).toEqual([1, 2, 3]);
    expect([...rgbFromChannels(Uint8Array.of(1, 2, 3, 0, 4, 5, 6, 255), 2, 4)]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("CMYK: no ink is white, full black is black, ink darkens its complement", () => {
    expect([...rgbFromCmyk(Uint8Array.of(0, 0, 0, 0, 9, 9, 9, 255, 255, 0, 0, 0, 128, 0, 64, 51), 4)]).toEqual([
      255, 255, 255, 0, 0, 0, 0, 255, 255, 102, 204, 153,
    ]);
  });
});

function transpose(image: RgbImage): RgbImage {
  const data = new Uint8Array(image.data.length);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      const from = (y * image.width + x) * 3;
      data.set(image.data.subarray(from, from + 3), (x * image.height + y) * 3);
    }
  }
  return { width: image.height, height: image.width, data };
}
