import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kernelCases, matching } from "../../src/bench/cases/all.js";
import { caseName, type KernelCase } from "../../src/bench/cases/case.js";
import { measureCase } from "../../src/bench/kernels.js";
import { timeDispatches } from "../../src/bench/replay.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { testDevice } from "./harness.js";

const KERNELS = fileURLToPath(new URL("../../src/kernels/", import.meta.url));
const PEAKS = { gflops: 100, gbs: 10, copy_kernel_gbs: 10, copy_buffer_gbs: 10 };
const QUICK = { runs: 2, targetMs: 1 };

let device: Device;
let cases: readonly KernelCase[];
beforeAll(async () => {
  device = await testDevice({ timestamps: true });
  cases = kernelCases(device);
});
afterAll(() => device.close());

/** The first case of a kernel, as the device chooses it. */
const one = (kernel: string, of = ""): KernelCase => {
  return cases.find(
    (c) => c.kernel === kernel && c.chosen && !["f16", "q8"].includes(c.dtype) && c.shape.startsWith(of),
  )!;
};

describe("the cases", () => {
  it("have names of their own", () => {
    expect(new Set(cases.map(caseName)).size).toBe(cases.length);
  });

  it("cover every operation, and the backward of each that has one", () => {
    const named = (start: string, end: string) =>
      cases.some((c) => c.kernel.startsWith(start) && c.kernel.endsWith(end));
    const operations = readdirSync(KERNELS, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(operations.length).toBeGreaterThan(10);
    for (const { name } of operations) {
      expect(named(name, ""), name).toBe(true);
      // The backward of a product is two more products, nn and tn.
      const differentiable = readFileSync(`${KERNELS}${name}/${name}.ts`, "utf8").includes("p.differentiate(");
      if (differentiable && name !== "matmul") expect(named(name, ".backward"), `${name} backward`).toBe(true);
    }
    for (const layout of ["nt", "nn", "tn"]) expect(named(`matmul.${layout}`, ""), layout).toBe(true);
  });

  it("mark exactly one variant of each shape as chosen", () => {
    const chosen = new Map<string, number>();
    for (const c of cases) {
      const key = `${c.kernel} ${c.shape} ${c.dtype}`;
      chosen.set(key, (chosen.get(key) ?? 0) + (c.chosen ? 1 : 0));
    }
    for (const [name, count] of chosen) expect(count, name).toBe(1);
  });

  it("of the top tokens are not verified with one of them wrong by one", async () => {
    const c = one("decode.top", "5 of 5");
    const p = new Program(device, "top", { gradients: false });
    const { outputs, error } = c.record(p);
    p.keep(...outputs);
    await p.compile();
    const [raw] = await p.run({}, outputs).get();
    const top = new Uint32Array(raw!.buffer);
    expect(error([top])).toBeLessThan(1e-9);
    const first = 3; // behind the maximum and the sum, as (score, token)
    expect(error([top.with(first, top[first]! + 1)])).toBe(Number.POSITIVE_INFINITY);
    p.destroy();
  });

  it("are found by all the words of a pattern", () => {
    const found = matching(cases, "MATMUL.nt * greedy q8");
    expect(found.length).toBeGreaterThan(0);
    for (const c of found) expect(c).toMatchObject({ kernel: "matmul.nt", dtype: "q8", chosen: true });
    expect(matching(cases, "no such kernel")).toEqual([]);
  });
});

describe("measureCase", () => {
  it.each(["rows.repeat", "rows.repeat.backward", "decode.ancestry"])(
    "verifies what it times, and leaves no memory behind: %s",
    async (kernel) => {
      const result = await measureCase(device, PEAKS, one(kernel), QUICK);
      expect(result).toMatchObject({ verified: true, dispatches: 1, runs: 2, dtype: expect.stringMatching(/f32|u32/) });
      expect(result.error).toBeLessThanOrEqual(1e-12);
      expect(result.bytes).toBeGreaterThan(0);
      expect(Object.keys(device.memory().byLabel)).not.toContain("bench");
      expect(Object.keys(device.memory().byLabel)).not.toContain("decode");
    },
  );

  it("counts bytes and arithmetic of the backward alone", async () => {
    const [plain, back] = [one("rows.repeat"), one("rows.repeat.backward")];
    const C = 768;
    const forward = await measureCase(device, PEAKS, plain, QUICK);
    expect(forward).toMatchObject({ flops: 0, gflops: 0, bytes: 4 * C * (10 + 50) });
    const backward = await measureCase(device, PEAKS, back, QUICK);
    expect(backward).toMatchObject({ flops: 50 * C, bytes: 4 * C * (50 + 10) });
  });

  it("says that a result is wrong", async () => {
    const good = one("rows.repeat");
    for (const value of [1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const wrong: KernelCase = { ...good, record: (p) => ({ ...good.record(p), error: () => value }) };
      expect(await measureCase(device, PEAKS, wrong, QUICK)).toMatchObject({ verified: false });
    }
  });

  it("notices one wrong element of a product", async () => {
    const good = one("matmul.nt", "clip projection");
    const off: KernelCase = {
      ...good,
      record: (p) => {
        const recorded = good.record(p);
        const error: typeof recorded.error = ([out]) => recorded.error([out!.map((v, i) => (i === 511 ? v + 0.1 : v))]);
        return { ...recorded, error };
      },
    };
    expect(await measureCase(device, PEAKS, good, QUICK)).toMatchObject({ verified: true });
    expect(await measureCase(device, PEAKS, off, QUICK)).toMatchObject({ verified: false });
  });
});

describe("timeDispatches", () => {
  it("creates no pipeline and no bind group, and times by the GPU's clock where there is one", async () => {
    const program = new Program(device, "timed");
    const { outputs } = one("rows.add").record(program);
    program.keep(...outputs);
    await program.compile();
    await program.run();
    const { pipelines, bindGroups } = device.counters;
    const timing = await timeDispatches(program, [0], QUICK);
    expect(device.counters).toMatchObject({ pipelines, bindGroups });
    expect(timing.runs).toBe(2);
    expect(timing.best).toBeLessThanOrEqual(timing.median);
    expect(timing.median).toBeLessThanOrEqual(timing.p95);
    if (device.gpu.features.has("timestamp-query")) expect(timing.gpu).toBeGreaterThan(0);
    else expect(timing.gpu).toBeUndefined();
    program.destroy();
  });
});
