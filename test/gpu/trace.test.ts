import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { matmul } from "../../src/kernels/matmul/matmul.js";
import { softmax } from "../../src/kernels/softmax/softmax.js";
import { openDevice } from "../../src/node.js";
import type { Device } from "../../src/runtime/device.js";
import { flopsOf, Program } from "../../src/runtime/program.js";
import { Trace } from "../../src/runtime/trace.js";
import { type TraceEvent, traceEvents } from "../../src/runtime/trace-events.js";
import { expectOrderedTracks, slicesOf, sumOf } from "../trace-checks.js";
import { testDevice, upload, values } from "./harness.js";

const [M, C] = [64, 96];
const RUNS = 3;

/** `layers` of softmax(x w), with labels `a.…` in the first half and `b.…` in the second. */
async function record(device: Device, layers: number): Promise<{ program: Program; run: () => Promise<Float32Array> }> {
  const program = new Program(device, "net");
  const w = upload(program, "w", [C, C], values("w", C * C));
  let y = upload(program, "x", [M, C], values("x", M * C));
  for (let i = 0; i < layers; i++) {
    const label = `${2 * i < layers ? "a" : "b"}.h${i}`;
    y = softmax(program, matmul(program, y, w, { layout: "nn", label }), { label: `${label}.softmax` });
  }
  program.keep(y);
  await program.compile();
  return { program, run: () => program.run({}, [y]).f32() };
}

async function eventsOf(trace: Trace): Promise<TraceEvent[]> {
  return [...traceEvents(await trace.finish())];
}

describe.each([
  { clock: "gpu", open: () => openDevice({ timestamps: true }) },
  { clock: "host", open: () => testDevice() },
])("a trace by the clock of the $clock", ({ clock, open }) => {
  let device: Device;
  beforeAll(async () => {
    device = await open();
  });
  afterAll(() => device.close());

  it("has one slice for each dispatch, in order, without overlap; values keep their bits", async () => {
    device.recorder = undefined;
    const { program, run } = await record(device, 6);
    const before = await run();
    const trace = new Trace();
    await trace.attach(device);
    for (let r = 0; r < RUNS; r++) expect(await run()).toEqual(before);
    expect((await trace.finish()).clock).toBe(clock);
    const events = await eventsOf(trace);
    expectOrderedTracks(events);
    const slices = slicesOf(events, "dispatch");
    const labels = program.dispatches.map(({ label }) => label);
    expect(slices.map(({ name }) => name)).toEqual(Array(RUNS).fill(labels).flat());
    const flops = program.dispatches.reduce((sum, d) => sum + flopsOf(d), 0);
    expect(flops).toBe(6 * (2 * M * C * C + 5 * M * C));
    expect(sumOf(slices, "flops")).toBe(RUNS * flops);
    expect(slicesOf(events, "program").map(({ args }) => args)).toEqual(
      Array(RUNS).fill({ dispatches: labels.length, flops }),
    );
    const stages = slicesOf(events, "stage").map(({ name, args }) => [name, args!.dispatches]);
    expect(stages).toEqual(
      Array(RUNS)
        .fill([
          ["a", 6],
          ["b", 6],
        ])
        .flat(),
    );
    program.destroy();
  });

  it("says what a dispatch was", async () => {
    const { program, run } = await record(device, 1);
    const trace = new Trace();
    await trace.attach(device);
    await run();
    const [product, normalised] = slicesOf(await eventsOf(trace), "dispatch");
    const { kernel } = program.dispatches[0]!;
    expect(kernel.name).toBe(`${product!.args!.kernel}.${product!.args!.variant}`);
    expect(product!.args).toMatchObject({
      kernel: "matmul",
      label: "a.h0",
      shape: `[${M}, ${C}]`,
      tensors: { a: `f32 [${M}, ${C}]`, b: `f32 [${C}, ${C}]`, out: `f32 [${M}, ${C}]` },
      uniforms: { M, K: C, N: C, accumulate: 0 },
      workgroups: program.dispatches[0]!.workgroups,
      flops: 2 * M * C * C,
      bound_bytes: 4 * (2 * M * C + C * C) + 16, // bias and residual are left out: one vector of zeros stands for both
    });
    expect(normalised!.args).toMatchObject({ kernel: "softmax", label: "a.h0.softmax", shape: `[${M}, ${C}]` });
    program.destroy();
  });

  it("takes programs with more dispatches than a query set has room for", async () => {
    const { program, run } = await record(device, 1030);
    const trace = new Trace();
    await trace.attach(device);
    await run();
    const events = await eventsOf(trace);
    expectOrderedTracks(events);
    expect(slicesOf(events, "dispatch")).toHaveLength(2060);
    program.destroy();
  });

  it("is full at its limit, and the program runs on", async () => {
    const { program, run } = await record(device, 2);
    const trace = new Trace(10);
    await trace.attach(device);
    const first = await run();
    for (let r = 1; r < RUNS; r++) expect(await run()).toEqual(first);
    await trace.phase("late", async () => {});
    const data = await trace.finish();
    expect(data.full).toBe(true);
    expect(data.host.map(({ name }) => name)).not.toContain("late");
    expect(slicesOf([...traceEvents(data)], "dispatch")).toHaveLength(8);
    program.destroy();
  });
});

describe("timestamps", () => {
  it("are asked for only where they are wanted", async () => {
    const device = await testDevice();
    expect(device.gpu.features.has("timestamp-query")).toBe(false);
    device.close();
  });

  it("add up to what the work takes, on the host's clock", async () => {
    const device = await openDevice({ timestamps: true });
    const { run } = await record(device, 50);
    await run();
    const trace = new Trace();
    await trace.attach(device);
    await trace.phase("all", run);
    const events = await eventsOf(trace);
    const [whole] = slicesOf(events, "phases");
    const dispatches = slicesOf(events, "dispatch");
    const busy = dispatches.reduce((sum, { dur }) => sum + dur, 0);
    expect(busy).toBeGreaterThan(0);
    expect(busy).toBeLessThanOrEqual(whole!.dur);
    // Within a phase that waits for them, but for what the two clocks disagree about.
    const [first, last] = [dispatches[0]!, dispatches.at(-1)!];
    expect(first.ts).toBeGreaterThanOrEqual(whole!.ts);
    expect(last.ts + last.dur).toBeLessThan(whole!.ts + whole!.dur + 20_000);
    device.close();
  });
});

describe("phases", () => {
  it("that go on at the same time stand in threads of one name", async () => {
    const trace = new Trace();
    let end = () => {};
    const waiting = trace.phase("long", () => new Promise<void>((resolve) => (end = resolve)), "images");
    await trace.phase("short", async () => {}, "images");
    end();
    await waiting;
    await expect(trace.phase("fails", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    const events = await eventsOf(trace);
    expectOrderedTracks(events);
    expect(slicesOf(events).map(({ name, tid, cat }) => [name, tid, cat])).toEqual([
      ["long", 0, "images"],
      ["short", 1, "images"],
      ["fails", 2, "phases"],
    ]);
  });
});
