import { describe, expect, it } from "vitest";
import { learningRates, type ScheduleOptions } from "../../src/train/schedule.js";
import { goldenJson } from "../goldens.js";

interface Golden {
  readonly base_lr: number;
  readonly warmup: number;
  readonly total: number;
  readonly steps: readonly number[];
  readonly lr: readonly number[];
}

const schedules = goldenJson<{ cases: { op: string; schedules?: Golden[] }[] }>("ops.json").cases.flatMap((c) =>
  c.op === "linear_schedule" ? c.schedules! : [],
);

const linear = { shape: { type: "linear" }, peak: 2e-5, total: 8460, warmup: { steps: 5000 } } as const;

describe("linear schedule goldens", () => {
  it("has goldens", () => expect(schedules.length).toBeGreaterThan(0));

  it.each(schedules)("warm-up $warmup of $total", ({ base_lr, warmup, total, steps, lr }) => {
    const rate = learningRates({ shape: { type: "linear" }, peak: base_lr, total, warmup: { steps: warmup } });
    for (const [i, step] of steps.entries()) expect(rate(step) / base_lr).toBeCloseTo(lr[i]! / base_lr, 12);
  });

  it("has the values of docs/facts.md 3", () => {
    const rate = learningRates(linear);
    expect(rate(0)).toBe(0);
    expect(rate(846)).toBeCloseTo(3.384e-6, 15);
    expect(rate(5000)).toBe(2e-5);
    expect(rate(8460)).toBe(0);
  });
});

describe("learningRates", () => {
  it("stays constant after the warm-up, beyond the end too", () => {
    const rate = learningRates({ shape: { type: "constant" }, peak: 0.5, total: 10, warmup: { steps: 4 } });
    expect([0, 1, 3, 4, 9, 10, 99].map(rate)).toEqual([0, 0.125, 0.375, 0.5, 0.5, 0.5, 0.5]);
  });

  it("falls as a cosine to the final fraction and stays there", () => {
    const rate = learningRates({ shape: { type: "cosine", final: 0.1 }, peak: 2, total: 110, warmup: { steps: 10 } });
    expect(rate(10)).toBe(2);
    expect(rate(60)).toBeCloseTo(1.1, 12); // half way: the mean of both ends
    expect(rate(35)).toBeCloseTo(0.2 + 1.8 * 0.5 * (1 + Math.SQRT1_2), 12);
    expect(rate(110)).toBeCloseTo(0.2, 12);
    expect(rate(1000)).toBeCloseTo(0.2, 12);
  });

  it("takes the warm-up as a fraction, rounded to whole steps", () => {
    const rate = learningRates({ ...linear, total: 1416, warmup: { fraction: 0.05 } }); // 70.8 -> 71
    expect(rate(70)).toBeCloseTo((2e-5 * 70) / 71, 18);
    expect(rate(71)).toBe(2e-5);
  });

  it.each<[Partial<ScheduleOptions>, string]>([
    [{ peak: Number.NaN }, "learning rate NaN must not be negative"],
    [{ total: 0 }, "number of steps 0 must be a whole number above 0"],
    [{ warmup: { steps: -1 } }, "warm-up of -1 steps"],
    [{ warmup: { fraction: 1.5 } }, "warm-up fraction 1.5 must be from 0 to 1"],
    [{ shape: { type: "cosine", final: 2 } }, "final fraction 2 of the learning rate must be from 0 to 1"],
  ])("refuses %j", (wrong, message) => {
    expect(() => learningRates({ ...linear, ...wrong })).toThrow(message);
  });
});
