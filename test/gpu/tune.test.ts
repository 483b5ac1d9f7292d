import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { layerNormClass } from "../../src/kernels/layernorm/layernorm.js";
import type { NodeDeviceOptions } from "../../src/node.js";
import type { Device } from "../../src/runtime/device.js";
import { type KernelSpec, write } from "../../src/runtime/kernel.js";
import { planningDevice } from "../../src/runtime/planning.js";
import type { Program } from "../../src/runtime/program.js";
import type { TuneCase, TuneVariant } from "../../src/tune/case.js";
import { matmulCases } from "../../src/tune/matmul-cases.js";
import { rowCases } from "../../src/tune/row-cases.js";
import { compete, tune, tuneCases } from "../../src/tune/tune.js";
import { goldenTensors } from "../goldens.js";
import { runOp, testDevice } from "./harness.js";
import { TINY, tinyCaptioner, tinyGenerator } from "./tiny.js";

const never = new AbortController().signal;

/** The families of CPU adapters and of GPUs; the latter run on any adapter. */
const ADAPTERS: readonly (readonly [string, NodeDeviceOptions])[] = [
  ["with all features", {}],
  ["without features", { features: "none" }],
];

describe("a race", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.close());

  /** Fills y with a value, in so many turns of a loop. */
  const fill = (name: string, value: number, turns: number, extra = ""): TuneVariant => {
    const kernel: KernelSpec = {
      name: `test.tune.${name}`,
      bindings: [write("y")],
      uniforms: [
        ["turns", "u32"],
        ["value", "f32"],
      ],
      workgroup: [64, 1, 1],
      body: `@compute fn main(@builtin(global_invocation_id) id: vec3u) {
        var x = 0.0;
        for (var i = 0u; i < u.turns; i++) { x = fma(x, 0.5, 0.5 * u.value); }
        y[id.x] = x; ${extra}
      }`,
    };
    const record = (p: Program) => {
      const y = p.transient("y", [64 * 64]);
      p.dispatch({ kernel, label: name, tensors: { y }, uniforms: { turns, value }, workgroups: [64, 1, 1] });
      return y;
    };
    return { name, record };
  };
  const caseOf = (...variants: TuneVariant[]): TuneCase => {
    return { of: "class", shape: "64 x 64", variants, error: (out) => Math.max(...out.map((y) => Math.abs(y - 1))) };
  };

  it("is won by what is much faster", async () => {
    const found = await compete(device, caseOf(fill("slow", 1, 40_000), fill("fast", 1, 100)), never);
    expect(found).toMatchObject({ of: "class", usual: "slow", chosen: "fast", wrong: [] });
    expect(found.speedup).toBeGreaterThan(2);
  });

  it("is not won by what computes wrongly, or does not compile, however fast; the device lives on", async () => {
    const wrong = fill("wrong", 2, 100);
    const broken = fill("broken", 1, 100, "y[0] = missing;");
    const found = await compete(device, caseOf(fill("right", 1, 40_000), wrong, broken), never);
    expect(found).toMatchObject({ chosen: "right", speedup: 1, wrong: ["wrong", "broken"] });
    await device.idle();
  });

  it("gives the usual variant's place to a right one where that computes wrongly", async () => {
    const found = await compete(device, caseOf(fill("wrong too", 2, 100), fill("slow but right", 1, 40_000)), never);
    expect(found).toMatchObject({ chosen: "slow but right", wrong: ["wrong too"] });
  });

  it("ends at once when it is stopped, and takes no memory along", async () => {
    const before = device.memory().used;
    const stopped = AbortSignal.abort();
    await expect(tune(device, { signal: stopped, seconds: 60 })).rejects.toMatchObject({ code: "aborted" });
    expect(device.memory().used).toBe(before);
  });
});

it("a class that the memory is too small for keeps its kernel; others are measured, and nothing stays allocated", async () => {
  const device = await testDevice({ maxMemory: 300_000 });
  const of = (await tune(device, { signal: never, seconds: 60 })).map((found) => found.of);
  expect(of).not.toContain(layerNormClass(768)); // 154 KB in and as much out
  expect(of).not.toContain("matmul nt f32 10x256x1024"); // 1 MB
  expect(of).toContain("matmul nt q8 10x256x256"); // 86 KB
  expect(Object.keys(device.memory().byLabel).filter((label) => label.startsWith("tune"))).toEqual([]);
  device.close();
});

it("the cases are each of another class", async () => {
  const device = await testDevice({ features: "none" });
  const of = [...tuneCases(planningDevice(device))].map((c) => c.of);
  device.close();
  expect(new Set(of).size).toBe(of.length);
  expect(of.length).toBeGreaterThan(30);
});

describe.each(ADAPTERS)("the cases %s", (_, options) => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice(options);
  });
  afterAll(() => device.close());

  it.each([
    ["layer norm", rowCases],
    ["matmul", matmulCases],
  ])("of %s: every variant passes, and one wrong element does not", async (_name, cases) => {
    const all = cases(device);
    const c = all.next().value as TuneCase;
    expect(c.variants.length).toBeGreaterThan(1);
    for (const { record } of c.variants) {
      const [out] = await runOp(device, record);
      expect(c.error(out!)).toBeLessThan(1e-11);
      const wrong = out!.slice();
      wrong[wrong.length - 2]! += 1;
      expect(c.error(wrong)).toBeGreaterThan(1e-9);
    }
    all.return(undefined);
    expect(Object.keys(device.memory().byLabel).filter((label) => label.startsWith("tune"))).toEqual([]);
  });

  it("with a table the tiny model takes other kernels and gives the same tokens", async () => {
    const usual = await captions(device);
    device.tuned = { digest: "of a test", choices: others };
    const [tuned, again] = [await captions(device), await captions(device)];
    device.tuned = undefined;
    expect(tuned.kernels).not.toEqual(usual.kernels);
    expect(tuned.tokens).toEqual(usual.tokens);
    for (const [i, score] of tuned.scores.entries()) expect(score).toBeCloseTo(usual.scores[i]!, 4);
    expect(again).toEqual(tuned);
  });
});

/** A name for every class. Where it is no candidate the class keeps its usual kernel. */
const others = new Proxy<Record<string, string>>(
  {},
  {
    get: (_, of: string) => {
      if (of.startsWith("matmul")) return / 1x/.test(of) ? "lane.r1" : /nt f32 [4-8]x/.test(of) ? "tile64" : "lane.r25";
      return of.startsWith("top") ? "gpu" : "shared8";
    },
  },
);

/** Captions of three golden embeddings by five beams, and the names of all kernels that were asked for meanwhile. */
async function captions(device: Device) {
  const asked = vi.spyOn(device, "kernel");
  const clips = await (await goldenTensors("decode.safetensors")).readF32("captions/clip_embedding");
  const captioner = await tinyCaptioner(device, "transformer");
  const beam = { type: "beam", rule: "mean", alpha: 1, temperature: 1 } as const;
  const shape = { images: 3, width: 5, strategy: beam };
  const { generator, clip } = await tinyGenerator(device, captioner, shape);
  device.write(clip, clips.subarray(0, 3 * TINY.clipWidth));
  const decoded = (await generator.run({ seed: 0 })).flat();
  generator.destroy();
  const kernels = asked.mock.calls.map(([{ name }]) => name);
  asked.mockRestore();
  return { tokens: decoded.map(({ tokens }) => [...tokens]), scores: decoded.map(({ score }) => score), kernels };
}
