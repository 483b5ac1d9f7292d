/** From embeddings, and from image files, to the tokens that PyTorch chose: greedy and with five beams. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeImage } from "../../src/data/image/decode-node.js";
import { parsePreprocessorConfig, preprocess } from "../../src/data/image/preprocess.js";
import type { Decoded } from "../../src/kernels/decode/results.js";
import { clipVision } from "../../src/models/clip.js";
import type { GeneratorShape } from "../../src/models/generate.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { goldenJson, goldenPath, goldenTensors } from "../goldens.js";
import { testDevice } from "../gpu/harness.js";
import { type MapperType, TINY, tinyCaptioner, tinyGenerator, tinyVision } from "../gpu/tiny.js";

interface Choices {
  readonly mapper: MapperType;
  readonly steps: number;
  readonly stop: readonly number[];
  readonly greedy: {
    readonly tokens: readonly number[];
    readonly logprob: readonly number[];
    readonly smallest_selection_margin: number;
  };
  readonly beam5: {
    /** Best first, the stop token included. */
    readonly sequences: readonly (readonly number[])[];
    readonly mean_logprob: readonly number[];
    readonly stopped: readonly boolean[];
    readonly smallest_selection_margin: number;
  };
}

/** Below this gap between a chosen and a rejected candidate f32 may choose otherwise than the f64 of the goldens. */
const CLEAR_MARGIN = 2e-4;

const stored = goldenJson<{ captions: readonly (Choices & { weights: "initial" | "trained"; row: number })[] }>(
  "decode.json",
).captions;
const files = goldenJson<{ captions: readonly (Choices & { file: string })[] }>("e2e.json").captions;
const mappers = ["mlp", "transformer"] as const;
const beam5: Partial<GeneratorShape> = {
  width: 5,
  strategy: { type: "beam", rule: "mean", alpha: 1, temperature: 1 },
};

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device?.close());

function expectGreedy(
  [got]: readonly Decoded[],
  { tokens, logprob }: Choices["greedy"],
  stop: readonly number[],
): void {
  expect(got!.tokens).toEqual(tokens);
  expect(got!.score).toBeCloseTo(
    logprob.reduce((a, b) => a + b, 0),
    3,
  );
  expect(got!.stopped).toBe(stop.includes(tokens.at(-1)!));
}

function expectBeams(got: readonly Decoded[], golden: Choices["beam5"]): void {
  expect(got.map((d) => d.tokens)).toEqual(golden.sequences);
  expect(got.map((d) => d.stopped)).toEqual(golden.stopped);
  for (const [i, d] of got.entries()) expect(d.score / d.tokens.length).toBeCloseTo(golden.mean_logprob[i]!, 4);
}

describe.each(mappers.flatMap((type) => (["initial", "trained"] as const).map((w) => [type, w] as const)))(
  "%s mapper, %s weights",
  (type, weights) => {
    const cases = stored.filter((c) => c.mapper === type && c.weights === weights);

    test("the set holds cases, all with a clear margin", () => {
      expect(cases.length).toBeGreaterThanOrEqual(1);
      for (const c of cases) {
        expect(Math.min(c.greedy.smallest_selection_margin, c.beam5.smallest_selection_margin)).toBeGreaterThan(
          CLEAR_MARGIN,
        );
      }
    });

    test("greedy and beam search choose PyTorch's tokens", async () => {
      const clips = await (await goldenTensors("decode.safetensors")).readF32("captions/clip_embedding");
      const captioner = await tinyCaptioner(device, type, weights);
      const { steps: maxTokens, stop } = cases[0]!;
      const shape = { images: cases.length, maxTokens, stop };
      for (const strategy of ["greedy", "beam5"] as const) {
        const { generator, clip } = await tinyGenerator(device, captioner, {
          ...shape,
          ...(strategy === "beam5" && beam5),
        });
        for (const [i, { row }] of cases.entries()) {
          device.write(clip, clips.subarray(row * TINY.clipWidth, (row + 1) * TINY.clipWidth), i);
        }
        const got = await generator.run({ seed: 0 });
        for (const [i, c] of cases.entries()) {
          expect([c.steps, c.stop]).toEqual([maxTokens, stop]);
          if (strategy === "greedy") expectGreedy(got[i]!, c.greedy, stop);
          else expectBeams(got[i]!, c.beam5);
        }
        generator.destroy();
      }
    });
  },
);

describe("image files", () => {
  const names = [...new Set(files.map((c) => c.file))];
  const embeddings = new Map<string, Float32Array>();

  beforeAll(async () => {
    const vision = await tinyVision(device);
    const config = parsePreprocessorConfig(goldenJson("tiny", "tiny-clip", "preprocessor_config.json"));
    const p = new Program(device, "vision");
    const pixels = p.persistent("pixels", [1, 3, config.height, config.width]);
    const { embeds } = clipVision(p, vision, pixels);
    p.keep(embeds);
    await p.compile();
    for (const file of names) {
      const image = await decodeImage(goldenPath("images", file), { rawOrientation: true });
      device.write(pixels, preprocess(image, config));
      embeddings.set(file, await p.run({}, [embeds]).f32());
    }
    p.destroy();
  });

  test("become PyTorch's embeddings", async () => {
    expect(names.length).toBe(14);
    const golden = await goldenTensors("e2e.safetensors");
    for (const file of names) {
      const expected = await golden.readF32(`${file}/image_embeds`);
      const worst = Math.max(...Array.from(embeddings.get(file)!, (v, i) => Math.abs(v - expected[i]!)));
      expect(worst, file).toBeLessThan(1e-4);
    }
  });

  test.each(mappers)("become PyTorch's tokens through the %s mapper", async (type) => {
    const captioner = await tinyCaptioner(device, type);
    const cases = files.filter((c) => c.mapper === type);
    expect(cases.length).toBe(14);
    const { steps: maxTokens, stop } = cases[0]!;
    const greedy = await tinyGenerator(device, captioner, { maxTokens, stop });
    const beams = await tinyGenerator(device, captioner, { maxTokens, stop, ...beam5 });
    let unclear = 0;
    for (const c of cases) {
      for (const { generator, clip } of [greedy, beams]) {
        device.write(clip, embeddings.get(c.file)!);
        const [got] = await generator.run({ seed: 0 });
        const golden = generator === greedy.generator ? c.greedy : c.beam5;
        if (golden.smallest_selection_margin < CLEAR_MARGIN) unclear++;
        else if (golden === c.greedy) expectGreedy(got!, c.greedy, stop);
        else expectBeams(got!, c.beam5);
      }
    }
    expect(unclear, "comparisons left out for near-ties").toBeLessThanOrEqual(9); // of 28
    for (const { generator } of [greedy, beams]) generator.destroy();
  });
});
