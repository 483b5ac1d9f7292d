import { afterAll, expect, it, vi } from "vitest";
import { parseReport } from "../../../src/bench/compare.js";
import { GROUPS } from "../../../src/bench/end-to-end/node-groups.js";
import { Generator } from "../../../src/models/generate.js";
import type { Device } from "../../../src/runtime/device.js";
import { planningDevice } from "../../../src/runtime/planning.js";
import { report } from "./reports.js";

vi.mock("../../../src/bench/end-to-end/networks.js", async (original) => {
  const { TINY_GPT2, TINY_SIZES } = await import("../../bench-sizes.js");
  return { ...(await original<object>()), ORIGINAL: TINY_SIZES, GPT2_SIZES: { "GPT-2 small": TINY_GPT2 } };
});
vi.mock("node:child_process", async (original) => ({
  ...(await original<object>()),
  execFile: (_file: string, _args: string[], _options: object, done: (error: null) => void) => done(null),
}));

/** What the adapter of a device that only counts must say. */
const LIKE = {
  gpu: {
    limits: {
      maxStorageBufferBindingSize: 2 ** 27,
      maxBufferSize: 2 ** 28,
      maxComputeWorkgroupsPerDimension: 65_535,
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupStorageSize: 16_384,
      minStorageBufferOffsetAlignment: 256,
      minUniformBufferOffsetAlignment: 256,
    },
  },
  adapter: { isCpu: false },
  lanes: 0,
} as Device;

// Nothing is computed, so decoding ends at once; its further steps are made up.
const { run } = Generator.prototype;
const decoding = vi.spyOn(Generator.prototype, "run").mockImplementation(async function (this: Generator, options) {
  const captions = await run.call(this, options);
  for (let step = 1; step < this.shape.maxTokens; step++) options.onTokens?.(new Uint32Array(1), step);
  return captions;
});
afterAll(() => decoding.mockRestore());

it("every time of all groups together has a name of its own, so that complete reports can be compared", async () => {
  const { signal } = new AbortController();
  const times: object[] = [];
  for (const { name, measure } of GROUPS) {
    const before = times.length;
    for await (const { what, model, how, unit, place } of measure(async () => planningDevice(LIKE), "auto", signal)) {
      if (unit === "ms") times.push({ what, model, how, unit, place, value: 1 });
    }
    expect(times.length, name).toBeGreaterThan(before);
  }
  const { results: _, ...head } = report([]);
  expect(parseReport("all.json", JSON.stringify({ ...head, measurements: times })).times.size).toBe(times.length);
});
