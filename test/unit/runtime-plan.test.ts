import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { align, type Conflict, type Lifetime, type Plan, type PlanLimits, planMemory } from "../../src/runtime/plan.js";

fc.configureGlobal({ seed: 20, numRuns: 200 });

const LIMITS: PlanLimits = { alignment: 256, maxArenaBytes: 2 ** 30, guardBytes: 0 };
const STEPS = 24;

const lifetimes = fc.array(
  fc
    .record({ bytes: fc.integer({ min: 16, max: 100_000 }), first: fc.nat(STEPS), span: fc.nat(6) })
    .map(({ bytes, first, span }): Lifetime => ({ label: "v", bytes, first, last: first + span })),
  { minLength: 1, maxLength: 40 },
);

/** Values and pairs of them that are live at once, as a dispatch that reads one and writes the other would give. */
const cases = lifetimes.chain((values) => {
  const together = values.flatMap((a, i) =>
    values.flatMap((b, j): Conflict[] => (i < j && overlap(a, b) ? [[i, j]] : [])),
  );
  return fc.record({
    values: fc.constant(values),
    conflicts: fc.subarray(together, { maxLength: Math.min(40, together.length) }),
    guardBytes: fc.constantFrom(0, 256, 1000),
    alignment: fc.constantFrom(32, 256),
  });
});

function overlap(a: Lifetime, b: Lifetime): boolean {
  return a.first <= b.last && b.first <= a.last;
}

function total(plan: Plan): number {
  return plan.arenas.reduce((a, b) => a + b, 0);
}

/** The largest sum of bytes that are live at once: no plan can need less. */
function lowerBound(values: readonly Lifetime[], alignment: number): number {
  const last = Math.max(...values.map((v) => v.last));
  return Math.max(
    ...Array.from({ length: last + 1 }, (_, t) =>
      values.filter((v) => v.first <= t && t <= v.last).reduce((sum, v) => sum + align(v.bytes, alignment), 0),
    ),
  );
}

describe("any plan", () => {
  test("keeps values that live at the same time apart, guards included", () => {
    fc.assert(
      fc.property(cases, ({ values, conflicts, guardBytes, alignment }) => {
        const { placements } = planMemory(values, conflicts, { ...LIMITS, guardBytes, alignment });
        for (const [i, a] of values.entries()) {
          for (const [j, b] of values.entries()) {
            if (i >= j || !overlap(a, b) || placements[i]!.arena !== placements[j]!.arena) continue;
            const [p, q] = [placements[i]!.offset, placements[j]!.offset];
            expect(p + a.bytes + guardBytes <= q || q + b.bytes + guardBytes <= p).toBe(true);
          }
        }
      }),
    );
  });

  test("keeps what one dispatch reads and writes in different arenas", () => {
    fc.assert(
      fc.property(cases, ({ values, conflicts }) => {
        const { placements } = planMemory(values, conflicts, LIMITS);
        for (const [a, b] of conflicts) expect(placements[a]!.arena).not.toBe(placements[b]!.arena);
      }),
    );
  });

  test("aligns every value, and its arenas are as long as their values reach", () => {
    fc.assert(
      fc.property(cases, ({ values, conflicts, guardBytes, alignment }) => {
        const { placements, arenas } = planMemory(values, conflicts, { ...LIMITS, guardBytes, alignment });
        for (const p of placements) expect(p.offset % alignment).toBe(0);
        for (const [arena, bytes] of arenas.entries()) {
          const ends = placements.flatMap((p, i) =>
            p.arena === arena ? [align(p.offset + values[i]!.bytes + guardBytes, alignment)] : [],
          );
          expect(bytes).toBe(Math.max(...ends));
        }
      }),
    );
  });

  test("opens another arena rather than exceed the largest buffer", () => {
    fc.assert(
      fc.property(cases, ({ values, conflicts }) => {
        const maxArenaBytes = 150_000; // above the largest single value
        const { arenas } = planMemory(values, conflicts, { ...LIMITS, maxArenaBytes });
        for (const bytes of arenas) expect(bytes).toBeLessThanOrEqual(maxArenaBytes);
      }),
    );
  });

  test("is never below the sum of what lives at once, and is the same every time", () => {
    fc.assert(
      fc.property(cases, ({ values, conflicts }) => {
        const plan = planMemory(values, conflicts, LIMITS);
        expect(total(plan)).toBeGreaterThanOrEqual(lowerBound(values, LIMITS.alignment));
        expect(planMemory(values, conflicts, LIMITS)).toEqual(plan);
      }),
    );
  });

  test("without conflicts, random values need on average at most a tenth more than the lower bound", () => {
    const ratios = fc
      .sample(lifetimes, { seed: 7, numRuns: 300 })
      .map((values) => total(planMemory(values, [], LIMITS)) / lowerBound(values, LIMITS.alignment));
    expect(ratios.reduce((a, b) => a + b, 0) / ratios.length).toBeLessThan(1.1);
    expect(Math.max(...ratios)).toBeLessThan(1.6);
  });
});

describe("known programs", () => {
  const value = (bytes: number, first: number, last: number): Lifetime => ({ label: "v", bytes, first, last });

  test("a chain alternates between two arenas whatever its length", () => {
    const values = Array.from({ length: 50 }, (_, i) => value(1024, i, i + 1));
    const conflicts = values.slice(1).map((_, i): Conflict => [i, i + 1]);
    const { arenas } = planMemory(values, conflicts, LIMITS);
    expect(arenas).toEqual([1024, 1024]);
  });

  test("a residual stream beside a chain needs three", () => {
    // x lives through each block of two dispatches: a = f(x), y = g(a, x).
    const x = Array.from({ length: 9 }, (_, i) => value(512, 2 * i - 1, 2 * i + 1));
    const a = Array.from({ length: 8 }, (_, i) => value(2048, 2 * i, 2 * i + 1));
    const conflicts = a.flatMap((_, i): Conflict[] => [
      [i, 9 + i],
      [9 + i, i + 1],
      [i, i + 1],
    ]);
    const { arenas } = planMemory([...x, ...a], conflicts, LIMITS);
    expect([...arenas].sort((p, q) => p - q)).toEqual([512, 512, 2048]);
  });

  test("nothing to place needs no arena", () => {
    expect(planMemory([], [], LIMITS)).toEqual({ placements: [], arenas: [] });
  });

  test("a value above the largest buffer still gets a place, for the device to refuse by name", () => {
    const { arenas } = planMemory([value(5000, 0, 1), value(100, 0, 1)], [], { ...LIMITS, maxArenaBytes: 4096 });
    expect([...arenas].sort((p, q) => p - q)).toEqual([256, 5120]);
  });
});
