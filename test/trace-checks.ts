import { expect } from "vitest";
import type { TraceEvent } from "../src/runtime/trace-events.js";

export type Slice = TraceEvent & { readonly ts: number; readonly dur: number };

export function slicesOf(events: readonly TraceEvent[], category?: string): Slice[] {
  const slices = events.filter((e): e is Slice => e.ph === "X");
  return category === undefined ? slices : slices.filter((e) => e.cat === category);
}

/** Slices of one thread follow each other, all have a length, and every thread has a name. */
export function expectOrderedTracks(events: readonly TraceEvent[]): void {
  const named = new Set(events.filter((e) => e.name === "thread_name").map(({ pid, tid }) => `${pid} ${tid}`));
  const ends = new Map<string, number>();
  for (const e of slicesOf(events).toSorted((a, b) => a.ts - b.ts)) {
    const thread = `${e.pid} ${e.tid}`;
    expect(named.has(thread), `name of thread ${thread}`).toBe(true);
    expect(e.dur, e.name).toBeGreaterThanOrEqual(0);
    expect(e.ts - (ends.get(thread) ?? 0), `${e.name} begins while the slice before it lasts`).toBeGreaterThan(-1e-4);
    ends.set(thread, e.ts + e.dur);
  }
}

export function sumOf(slices: readonly Slice[], arg: string): number {
  return slices.reduce((sum, { args }) => sum + (args![arg] as number), 0);
}
