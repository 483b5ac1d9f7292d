import { expect, it } from "vitest";
import { winner } from "../../../src/tune/winner.js";

/** Times of the usual variant in seven rounds on a machine whose clock slows down. */
const USUAL = [10, 11, 12, 13, 14, 15, 16];
const scaled = (factor: number) => USUAL.map((ms) => factor * ms);
const race = (laps: Record<string, readonly number[]>) => winner("usual", new Map(Object.entries(laps)));

it("takes the fastest of those that are faster by the margin", () => {
  const found = race({ usual: USUAL, a: scaled(0.9), b: scaled(0.5), c: scaled(0.7) });
  expect(found?.variant).toBe("b");
  expect(found?.speedup).toBeCloseTo(2);
});

it("keeps the usual variant where nothing is faster by the margin", () => {
  expect(race({ usual: USUAL, a: scaled(0.96), b: scaled(1.2) })).toEqual({ variant: "usual", speedup: 1 });
  expect(race({ usual: USUAL, a: scaled(0.949) })?.variant).toBe("a");
  expect(race({ usual: USUAL })).toEqual({ variant: "usual", speedup: 1 });
});

it("compares within rounds: a drift of 60 % hides no difference of 10 %, and a disturbed round decides nothing", () => {
  const disturbed = scaled(0.9).map((ms, round) => (round === 3 ? 10 * ms : ms));
  expect(race({ usual: USUAL, a: disturbed })?.variant).toBe("a");
  const lucky = USUAL.map((ms, round) => (round === 3 ? ms / 10 : ms));
  expect(race({ usual: USUAL, a: lucky })?.variant).toBe("usual");
});

it("keeps the usual variant where another is faster in most rounds but slower in two", () => {
  const unsteady = USUAL.map((ms, round) => (round < 2 ? 1.01 * ms : 0.5 * ms));
  expect(race({ usual: USUAL, a: unsteady })?.variant).toBe("usual");
});

it("takes the fastest right variant where the usual one computes wrongly", () => {
  expect(race({ a: scaled(2), b: scaled(1.5) })).toEqual({ variant: "b", speedup: 1 });
  expect(race({})).toBeUndefined();
});
