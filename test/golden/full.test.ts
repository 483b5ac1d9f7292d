import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embedding } from "../../src/kernels/embedding/embedding.js";
import { clipVision, loadClipVision } from "../../src/models/clip.js";
import { Generator, type GeneratorShape, type Strategy } from "../../src/models/generate.js";
import { type Gpt2, gpt2FinalNorm, gpt2Logits, gpt2Prefill, loadGpt2 } from "../../src/models/gpt2.js";
import { loadMapper, mapper } from "../../src/models/mapper.js";
import { WeightLoader } from "../../src/models/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { type MapperConfig, parseClipConfig, parseGpt2Config } from "../../src/weights/config.js";
import { canonicalNames } from "../../src/weights/names.js";
import { clipVisionShapes, gpt2Shapes, mapperShapes } from "../../src/weights/shapes.js";
import { syntheticFile, syntheticTensor } from "../../src/weights/synthetic.js";
import { goldenJson, goldenTensors } from "../goldens.js";
import { testDevice } from "../gpu/harness.js";

interface Decoding {
  readonly greedy: { tokens: number[]; logprob: number[]; smallest_selection_margin: number };
  readonly beam5: { sequences: number[][]; mean_logprob: number[]; smallest_selection_margin: number };
}
interface Full {
  readonly seed: number;
  readonly gpt2: { ids: number[]; top10_ids: number[]; top10_logits: number[] }[];
  readonly clipcap: Record<"mlp" | "transformer", Decoding> & {
    clip_embedding: { name: string; shape: number[]; std: number };
  };
}

const golden = goldenJson<Full>("full.json");
const tensors = await goldenTensors("full.safetensors");
const { seed } = golden;
const [C, V, K] = [768, 50257, 10];

/** First 8 channels of tokens 0, 1 and last of every sequence: what the goldens keep. */
function corner(x: ArrayLike<number>, batch: number, T: number, width: number): number[] {
  const rows = Array.from({ length: batch }, (_, b) => [0, Math.min(1, T - 1), T - 1].map((t) => (b * T + t) * width));
  return rows.flat().flatMap((start) => Array.from({ length: 8 }, (_, c) => x[start + c]!));
}

function expectClose(name: string, got: readonly number[], expected: ArrayLike<number>): void {
  expect(got.length, name).toBe(expected.length);
  const excess = got.map((v, i) => Math.abs(v - expected[i]!) - 1e-4 * Math.abs(expected[i]!));
  expect(Math.max(...excess), `${name}: largest excess over 1e-4 relative`).toBeLessThan(1e-3);
}

/** A slice [layer, ...] of a stacked golden. */
async function layers(name: string, count: number): Promise<Float32Array[]> {
  const all = await tensors.readF32(name);
  const n = all.length / count;
  return Array.from({ length: count }, (_, i) => all.slice(i * n, (i + 1) * n));
}

describe("full size, synthetic weights, default limits", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice({ limits: "default" });
  });
  afterAll(() => device.close());

  async function run(record: (p: Program) => readonly Tensor[]): Promise<Float32Array[]> {
    const p = new Program(device, "full");
    const outputs = record(p);
    p.keep(...outputs);
    await p.compile();
    const values = (await p.run({}, outputs).get()) as Float32Array[];
    p.destroy();
    return values;
  }

  test("ViT-B/32: hidden states, pooled, embeddings", async () => {
    const { vision } = parseClipConfig({ vision_config: {}, text_config: {} });
    const loader = new WeightLoader(device, syntheticFile(clipVisionShapes(vision), "full", seed), {
      dtype: "f32",
      account: "clip",
    });
    const model = await loadClipVision(loader, vision);
    const [B, T] = [2, 50];
    const got = await run((p) => {
      const pixels = p.persistent("pixels", [B, 3, 224, 224]);
      device.write(pixels, syntheticTensor("pixel_values", [B, 3, 224, 224], seed, 1));
      const out = clipVision(p, model, pixels);
      return [...out.hidden, out.pooled, out.embeds];
    });
    const hidden = await layers("vision.hidden", 13);
    for (const [i, expected] of hidden.entries()) expectClose(`hidden ${i}`, corner(got[i]!, B, T, C), expected);
    expectClose("pooled", Array.from(got[13]!), await tensors.readF32("vision.pooled"));
    expectClose("embeddings", Array.from(got[14]!), await tensors.readF32("image_embeds"));
    loader.free();
  });

  describe("GPT-2 small", () => {
    let gpt2: Gpt2;
    const config = parseGpt2Config({});

    beforeAll(async () => {
      const shapes = gpt2Shapes(config, "gpt.transformer.");
      const file = await canonicalNames(syntheticFile(shapes, "full", seed));
      const loader = new WeightLoader(device, file, { dtype: "f32", account: "gpt2" });
      gpt2 = await loadGpt2(loader, config);
      await device.idle();
      // 147 MiB at a limit of 128: the token embedding must be in two bindings.
      expect(gpt2.wte.storage.kind === "buffers" && gpt2.wte.storage.parts.length).toBe(2);
    });

    test.each(golden.gpt2.map((c, i) => [c.ids.length, i, c] as const))("%d tokens", async (T, i, c) => {
      const got = await run((p) => {
        const ids = p.persistent("ids", [T], "u32");
        device.write(ids, Uint32Array.from(c.ids));
        const x = embedding(p, ids, gpt2.wte, { positions: { table: gpt2.wpe, start: 0, period: T }, label: "x" });
        const hidden = gpt2Prefill(p, gpt2, x, { batch: 1, tokens: T });
        return [...hidden, gpt2FinalNorm(p, gpt2, hidden.at(-1)!), gpt2Logits(p, gpt2, hidden.at(-1)!)];
      });
      const hidden = await layers(`gpt2.${i}.hidden`, 13);
      for (const [k, expected] of hidden.entries()) expectClose(`hidden ${k}`, corner(got[k]!, 1, T, C), expected);
      expectClose("ln_f", corner(got[13]!, 1, T, C), await tensors.readF32(`gpt2.${i}.ln_f`));
      expectClose("logits", corner(got[14]!, 1, T, V), await tensors.readF32(`gpt2.${i}.logits`));
      const last = got[14]!.subarray((T - 1) * V);
      const top = Array.from(last, (_, id) => id).sort((a, b) => last[b]! - last[a]! || a - b);
      expectClose(
        "top 10",
        top.slice(0, 10).map((id) => last[id]!),
        c.top10_logits,
      );
      // Of two logits that are closer than their tolerance either may come first.
      const apart = (i: number) => i < 0 || i > 8 || c.top10_logits[i]! - c.top10_logits[i + 1]! > 2e-3;
      const ids = c.top10_ids.map((id, i) => (i < 9 && apart(i - 1) && apart(i) ? id : top[i]!));
      expect(top.slice(0, 10)).toEqual(ids);
    });

    test.each(["mlp", "transformer"] as const)("%s mapper: prefix, greedy and beam tokens", async (type) => {
      const config: MapperConfig =
        type === "mlp"
          ? { type, prefixLength: K, clipWidth: 512, gptWidth: C }
          : { type, prefixLength: K, clipLength: 10, clipWidth: 512, gptWidth: C, layers: 8, heads: 8 };
      const file = syntheticFile(mapperShapes(config), "full", seed);
      const loader = new WeightLoader(device, file, { dtype: "f32", account: "mapper" });
      const model = await loadMapper(loader, config);
      const f = golden.clipcap.clip_embedding;
      const clip = syntheticTensor(f.name, f.shape, seed, f.std);
      const input = (p: Program, rows: number) => {
        const t = p.persistent("clip", [rows, 512]);
        device.write(t, clip.subarray(0, rows * 512));
        return t;
      };
      const [prefix] = await run((p) => [mapper(p, model, input(p, 4)).prefix]);
      expectClose("prefix", corner(prefix!, 4, K, C), await tensors.readF32(`${type}.prefix`));

      const decode = async (strategy: Strategy, width: number) => {
        const shape: GeneratorShape = {
          images: 1,
          width,
          prompt: [],
          maxTokens: 10,
          stop: width > 1 ? [13] : [], // as full.py made them
          strategy,
          repetitionPenalty: 1,
          noRepeatNgram: 0,
        };
        const generator = await Generator.create(device, gpt2, K, shape, (p) => mapper(p, model, input(p, 1)).prefix);
        const [captions] = await generator.run({ seed: 0 });
        generator.destroy();
        return captions!;
      };
      const { greedy, beam5 } = golden.clipcap[type];
      // In f32 a logit is off by up to 1e-4; a choice by less than ten times that may fall either way.
      const clear = ({ smallest_selection_margin: margin }: { smallest_selection_margin: number }) => margin > 1e-3;
      const [best] = await decode({ type: "greedy" }, 1);
      if (clear(greedy)) {
        expect(best!.tokens).toEqual(greedy.tokens);
        const sum = greedy.logprob.reduce((a, b) => a + b, 0);
        expect(Math.abs(best!.score - sum)).toBeLessThan(1e-3 * greedy.logprob.length);
      }
      const beams = await decode({ type: "beam", rule: "mean", temperature: 1, alpha: 1 }, 5);
      if (clear(beam5)) {
        expect(beams.map((b) => b.tokens)).toEqual(beam5.sequences);
        const scores = beams.map((b) => b.score / b.tokens.length);
        expectClose("beam scores", scores, beam5.mean_logprob);
      }
      loader.free();
    });
  });
});
