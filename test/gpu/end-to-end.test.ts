import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  beam,
  type DecodeSubject,
  decodeGrowth,
  decodeLength,
  decodeSteps,
  GREEDY,
} from "../../src/bench/end-to-end/decode.js";
import { encodeImages } from "../../src/bench/end-to-end/encode.js";
import type { Measurement } from "../../src/bench/end-to-end/measurement.js";
import { loadSynthetic, type Networks } from "../../src/bench/end-to-end/networks.js";
import { captionLatency, captionThroughput } from "../../src/bench/end-to-end/node-caption.js";
import { loadOriginal } from "../../src/bench/end-to-end/node-original.js";
import { gpt2Sizes } from "../../src/bench/end-to-end/node-sizes.js";
import { trainingVariants, VARIANTS } from "../../src/bench/end-to-end/training.js";
import { clipVision } from "../../src/models/clip.js";
import { openDevice } from "../../src/node.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { parseGpt2Config } from "../../src/weights/config.js";
import { TINY_GPT2, TINY_SIZES } from "../bench-sizes.js";

let device: Device;
let networks: Networks;
beforeAll(async () => {
  device = await openDevice({ timestamps: true });
  networks = await loadSynthetic(device, TINY_SIZES);
});
afterAll(() => device.close());

const subject = (): DecodeSubject => ({ device, model: "tiny", ...networks });

async function all(measurements: AsyncGenerator<Measurement>): Promise<Measurement[]> {
  const out: Measurement[] = [];
  for await (const m of measurements) out.push(m);
  for (const { what, value, unit } of out) {
    expect(Number.isFinite(value), what).toBe(true);
    if (unit !== "%") expect(value, `${what} in ${unit}`).toBeGreaterThan(0);
  }
  return out;
}

const named = (found: readonly Measurement[]) => found.map(({ what, how, unit }) => `${what}, ${how}: ${unit}`);
const valueAt = (found: readonly Measurement[], what: string, unit: string) =>
  found.find((m) => m.what === what && m.unit === unit)!.value;

describe("decoding", () => {
  it.each([GREEDY, beam(5)])("$name: first token, steps, counts, and the host's share", async (d) => {
    const found = await all(decodeSteps(subject(), d));
    const how = `${d.name}, 1 image, 10 + 16 tokens`;
    expect(named(found)).toEqual([
      `mapper, prefill, first token, ${how}: ms`,
      `decode step, ${how}: ms`,
      `decoding, per token, ${how}: dispatches`,
      `decoding, per token, ${how}: submits`,
      `share of a decode step without a kernel, ${how}: %`,
    ]);
    expect(valueAt(found, "decoding, per token", "submits")).toBeCloseTo(17 / 16, 2); // the results are read once
    expect(valueAt(found, "share of a decode step without a kernel", "%")).toBeLessThan(100);
  });

  it("by beams, images and tokens: a point of a curve each", async () => {
    const places = (found: readonly Measurement[]) => found.map(({ place }) => [place!.axis, place!.x]);
    expect(places(await all(decodeGrowth(subject(), "beams", [1, 3])))).toEqual([
      ["beams", 1],
      ["beams", 3],
    ]);
    expect(places(await all(decodeGrowth(subject(), "images", [1, 2])))).toEqual([
      ["images", 1],
      ["images", 2],
    ]);
    // 17 steps in windows of 2: the first one's have 11 and 12 tokens before them
    const tokens = places(await all(decodeLength(subject(), 18)));
    expect(tokens).toEqual([12, 14, 16, 18, 20, 22, 24, 26].map((x) => ["tokens", x]));
  });

  it("by size: models from small to large on devices of their own", async () => {
    const larger = parseGpt2Config({ n_embd: 128, n_layer: 2, n_head: 4, vocab_size: 211, n_positions: 64 });
    const found = await all(gpt2Sizes(() => openDevice(), { tiny: TINY_GPT2, larger }));
    expect(found.map(({ what, model, unit }) => [what, model, unit])).toEqual(
      ["tiny", "larger"].flatMap((name) => [
        ["prefill, first token", `${name}; synthetic weights`, "ms"],
        ["decode step", `${name}; synthetic weights`, "ms"],
        ["peak of device memory", `${name}; synthetic weights`, "MB"],
      ]),
    );
  });
});

it("encoding by batch: time, rate, and what one image submits", async () => {
  const program = new Program(device, "counted");
  clipVision(program, networks.vision, program.persistent("pixels", [1, 3, 32, 32]));
  const { length } = program.dispatches;
  program.destroy();
  const found = await all(encodeImages(device, "tiny", networks.vision, [1, 2]));
  expect(named(found)).toEqual([
    "encode, 1 image: ms",
    "images encoded, 1 image: images/s",
    "encode, 1 image: dispatches",
    "encode, 1 image: submits",
    "encode, batch 2: ms",
    "images encoded, batch 2: images/s",
  ]);
  expect(valueAt(found, "encode", "dispatches")).toBe(length);
});

it("loading: time, bytes of the weights, memory of a long caption", async () => {
  const own = await openDevice();
  const found = await all(loadOriginal(own, TINY_SIZES));
  own.close();
  expect(named(found)).toContain("device memory beyond the weights, beam 5, 67 tokens: MB");
});

it("training by variant: a step, its rate, arithmetic, counts and memory", async () => {
  const found = await all(trainingVariants(() => openDevice({ timestamps: true }), TINY_GPT2, 2));
  const steps = found.filter(({ what, unit }) => what === "training step" && unit === "ms");
  expect(new Set(steps.map(({ model }) => model)).size).toBe(VARIANTS.length);
  expect(steps.every(({ how }) => how === "batch 2, 10 + 16 tokens")).toBe(true);
  expect(found.filter(({ unit }) => unit === "submits").map(({ value }) => value)).toEqual(Array(4).fill(2));
  const peaks = found.filter(({ what }) => what === "peak of device memory").map(({ value }) => value);
  expect(peaks[3], "the frozen GPT-2 after the fine-tuned one").toBeLessThan(peaks[2]!);
  expect(found.filter(({ unit }) => unit === "GFLOP/s").length).toBe(VARIANTS.length);
  for (const model of new Set(steps.map((step) => step.model))) {
    const shares = found.filter((m) => m.model === model && m.unit === "%");
    const names = shares.map(({ what }) => what);
    expect(names).toContain("of it: matmul.nn"); // gradients of activations
    expect(names).toContain("of it: matmul.tn"); // of weights, the mapper's in every variant
    expect(shares.reduce((sum, { value }) => sum + value, 0)).toBeCloseTo(100, 1);
  }
});

it("captions: latency by stage, and rate by batch, of the shipped model", async () => {
  const found = await all(captionLatency(device, 1));
  const stages = found.filter(({ what }) => what.startsWith("of it")).map(({ what }) => what.slice(7));
  expect(stages).toEqual([
    ...["decode the JPEG", "resize and crop"],
    ...["CLIP", "mapper", "prefill", "choose the first token", "further tokens"],
  ]);
  const rates = (await all(captionThroughput(device, [1, 2]))).filter(({ unit }) => unit === "images/s");
  expect(rates.map(({ place }) => place!.x)).toEqual([1, 2]);
});
