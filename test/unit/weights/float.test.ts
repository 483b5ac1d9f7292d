import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bf16ToF32, dequantizeRows, f16ToF32, f32ToF16, quantizeRows } from "../../../src/weights/float.js";

const allHalves = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** A half by the definition of the format, in f64. */
function halfValue(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const mantissa = half & 0x3ff;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}

describe("f16", () => {
  it("converts all 65,536 halves exactly, and back to the same bits", () => {
    const values = f16ToF32(allHalves);
    const wrong = allHalves.filter((half) => !Object.is(values[half], halfValue(half)));
    expect([...wrong]).toEqual([]);
    const back = f32ToF16(values);
    const changed = allHalves.filter((half) =>
      Number.isNaN(values[half]) ? (back[half]! | 0x200) !== (half | 0x200) : back[half] !== half,
    );
    expect([...changed]).toEqual([]);
  });

  it("rounds to nearest, ties to even, at and around every midpoint of two halves", () => {
    for (let half = 0; half < 0x7c00; half++) {
      const low = halfValue(half);
      const high = half === 0x7bff ? 65536 : halfValue(half + 1); // the largest half rounds up to infinity
      const middle = (low + high) / 2; // exact in f32: 12 bits of mantissa
      const even = half & 1 ? half + 1 : half;
      const bits = new Uint32Array(new Float32Array([middle]).buffer)[0]!;
      const around = new Float32Array(new Uint32Array([bits - 1, bits, bits + 1]).buffer);
      const got = f32ToF16(Float32Array.of(...around, ...around.map((v) => -v)));
      const expected = [half, even, half + 1];
      if (got.join() !== [...expected, ...expected.map((h) => h | 0x8000)].join()) {
        expect.fail(`around ${middle}: ${got} instead of ${expected}`);
      }
    }
  });

  it("keeps NaN a NaN even when its payload lies in the lost bits", () => {
    const nan = new Float32Array(new Uint32Array([0x7f800001, 0xff800001]).buffer);
    expect([...f16ToF32(f32ToF16(nan))]).toEqual([Number.NaN, Number.NaN]);
  });
});

it("bf16 is the upper half of an f32", () => {
  const bits = new Uint32Array(bf16ToF32(allHalves).buffer);
  expect([...allHalves.filter((half) => bits[half] !== half * 2 ** 16)]).toEqual([]);
});

describe("q8", () => {
  it("errs by at most half a step per row, keeps zero and the largest value", () => {
    const row = fc.array(fc.float({ noNaN: true, min: -1e3, max: 1e3 }), { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 6 }), (rows) => {
        const values = Float32Array.from(rows.flat());
        const q = quantizeRows(values, rows.length, 5);
        const back = dequantizeRows(q.values, q.scales);
        rows.forEach((_, r) => {
          const part = values.subarray(5 * r, 5 * r + 5);
          const max = Math.max(...part.map(Math.abs));
          for (let i = 0; i < 5; i++) {
            const error = Math.abs(back[5 * r + i]! - part[i]!);
            expect(error).toBeLessThanOrEqual(max / 254 + max * 1e-6 + 1e-43);
            if (part[i] === 0) expect(back[5 * r + i]).toBe(0);
          }
        });
      }),
      { seed: 3, numRuns: 300 },
    );
  });

  it("handles rows of zeros and refuses values that are not finite", () => {
    const q = quantizeRows(new Float32Array([0, 0, 127, -63.5]), 2, 2);
    expect([...q.scales]).toEqual([0, 1]);
    expect([...q.values]).toEqual([0, 0, 127, -63]);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => quantizeRows(new Float32Array([1, 2, 3, value]), 2, 2)).toThrow(
        /The matrix holds a value that is not finite in row 1; it cannot become q8/,
      );
    }
  });
});
