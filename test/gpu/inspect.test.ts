import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clipVision } from "../../src/models/clip.js";
import type { Networks } from "../../src/models/clipcap.js";
import { Generator, type GeneratorShape } from "../../src/models/generate.js";
import {
  attentionOf,
  captionAttention,
  inspectCaption,
  largest,
  nearestTokens,
  type SeenAttention,
  softmax,
  traceBeams,
} from "../../src/models/inspect.js";
import { prefixOf } from "../../src/models/mapper.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { goldenTensors } from "../goldens.js";
import { testDevice, values } from "./harness.js";
import { type MapperType, TINY, tinyCaptioner, tinyVision } from "./tiny.js";

const { prefix: K, width: C, vocab: V } = TINY;

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device?.close());

async function tinyNetworks(type: MapperType, normalizePrefix = false): Promise<Networks> {
  const [{ map, gpt2 }, vision] = [await tinyCaptioner(device, type), await tinyVision(device)];
  return { vision, mapper: map, gpt2, normalizePrefix };
}

const pixelsFor = ({ vision }: Networks, name: string) => values(name, 3 * vision.config.imageSize ** 2);

const GREEDY: Omit<GeneratorShape, "images"> = {
  width: 1,
  prompt: [],
  maxTokens: 12,
  stop: [13],
  strategy: { type: "greedy" },
  repetitionPenalty: 1,
  noRepeatNgram: 0,
};
const BEAM: typeof GREEDY = {
  ...GREEDY,
  width: 4,
  strategy: { type: "beam", rule: "mean", temperature: 1, alpha: 1 },
};

async function decode(networks: Networks, pixels: Float32Array, shape = GREEDY) {
  let input!: Tensor;
  const generator = await Generator.create(device, networks.gpt2, K, { ...shape, images: 1 }, (p) => {
    const { imageSize: S } = networks.vision.config;
    input = p.persistent("pixels", [1, 3, S, S]);
    return prefixOf(p, networks, clipVision(p, networks.vision, input).embeds);
  });
  device.write(input, pixels);
  const [captions] = await generator.run({ seed: 0 });
  generator.destroy();
  return captions!;
}

async function embed(networks: Networks, pixels: Float32Array): Promise<Float32Array> {
  const p = new Program(device, "embed", { gradients: false });
  const { imageSize: S } = networks.vision.config;
  const input = p.persistent("pixels", [1, 3, S, S]);
  const { embeds } = clipVision(p, networks.vision, input);
  p.keep(embeds);
  await p.compile();
  device.write(input, pixels);
  const values = await p.run({}, [embeds]).f32();
  p.destroy();
  return values;
}

/** The largest difference between attention times values on the host and what the kernel wrote. */
function worstMix(seen: SeenAttention): number {
  const { tokens: T, heads: H, qkv, out } = seen;
  const width = qkv.length / T / 3;
  const D = width / H;
  let worst = 0;
  for (let t = 0; t < T; t++) {
    for (const [h, weights] of attentionOf(seen, t).entries()) {
      for (let d = 0; d < D; d++) {
        const mixed = weights.reduce((sum, w, key) => sum + w * qkv[key * 3 * width + 2 * width + h * D + d]!, 0);
        worst = Math.max(worst, Math.abs(mixed - out[t * width + h * D + d]!));
      }
    }
  }
  return worst;
}

describe.each([
  ["mlp", false],
  ["transformer", true],
] as const)("%s mapper, normalised prefix: %s", (type, normalizePrefix) => {
  let networks: Networks;
  beforeAll(async () => {
    networks = await tinyNetworks(type, normalizePrefix);
  });

  test("attention computed on the host is what the kernels did, in every layer of both networks", async () => {
    const { vision, language } = await inspectCaption(device, networks, pixelsFor(networks, "a"), [5, 70, 3, 19, 13]);
    expect(vision.map(({ tokens }) => tokens)).toEqual(
      networks.vision.blocks.map(() => networks.vision.positions.rows),
    );
    expect(language.map(({ tokens }) => tokens)).toEqual(networks.gpt2.blocks.map(() => K + 4));
    for (const seen of [...vision, ...language]) {
      expect(worstMix(seen)).toBeLessThan(1e-4);
      for (const weights of attentionOf(seen, 2)) {
        expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
        if (seen.causal) expect(weights.subarray(3).every((weight) => weight === 0)).toBe(true);
      }
    }
  });

  test("the probabilities are those that the caption was decoded by", async () => {
    const pixels = pixelsFor(networks, "b");
    const { tokens, score } = (await decode(networks, pixels))[0]!;
    expect(tokens.length).toBeGreaterThan(2);
    const { logits } = await inspectCaption(device, networks, pixels, tokens);
    expect(logits.length).toBe(tokens.length * V);
    let sum = 0;
    for (const [i, token] of tokens.entries()) {
      const probabilities = softmax(logits.subarray(i * V, (i + 1) * V));
      expect(largest(probabilities, 1)[0]!.token).toBe(token);
      sum += Math.log(probabilities[token]!);
    }
    expect(Math.abs(sum - score)).toBeLessThan(1e-3);
  });

  test("attention of several captions at once is that of each by itself, mean of layers and heads", async () => {
    const captions = [[5, 70, 3, 19, 13], [13], [8, 2, 13]];
    const pictures = captions.map((_, i) => pixelsFor(networks, `picture ${i}`));
    const embeddings = await Promise.all(pictures.map((pixels) => embed(networks, pixels)));
    const found = await captionAttention(
      device,
      networks,
      captions.map((tokens, i) => ({ tokens, embedding: embeddings[i]! })),
    );
    for (const [c, tokens] of captions.entries()) {
      const { language } = await inspectCaption(device, networks, pictures[c]!, tokens);
      expect(found[c]!.map(({ length }) => length)).toEqual(tokens.map((_, i) => K + i));
      for (const [i, shares] of found[c]!.entries()) {
        const each = language.flatMap((layer) => attentionOf(layer, K - 1 + i));
        for (const [t, share] of shares.entries()) {
          expect(share).toBeCloseTo(each.reduce((sum, weights) => sum + weights[t]!, 0) / each.length, 4);
        }
        expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 10);
      }
    }
  });

  test("a caption of one token has no words before it", async () => {
    const { words, logits, language } = await inspectCaption(device, networks, pixelsFor(networks, "c"), [13]);
    expect([words.length, logits.length, language[0]!.tokens]).toEqual([0, V, K]);
  });
});

test("nearest tokens by cosine, over a vocabulary that fills no chunk", async () => {
  const networks = await tinyNetworks("mlp");
  const { prefix } = await inspectCaption(device, networks, pixelsFor(networks, "d"), [1, 2]);
  const file = await goldenTensors("tiny", "tiny-clipcap-mlp", "model.safetensors");
  const table = await file.readF32([...file.tensors.keys()].find((name) => name.endsWith("wte.weight"))!);
  const found = await nearestTokens(device, networks, prefix, 5);
  expect(found).toHaveLength(K);
  const row = (rows: Float32Array, i: number) => rows.subarray(i * C, (i + 1) * C);
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
  for (const [k, list] of found.entries()) {
    const vector = row(prefix, k);
    const cosines = Array.from({ length: V }, (_, token) => {
      const word = row(table, token);
      return dot(vector, word) / Math.sqrt(dot(vector, vector) * dot(word, word));
    });
    const expected = largest(cosines, 5);
    expect(list.map(({ token }) => token)).toEqual(expected.map(({ token }) => token));
    for (const [i, { value }] of list.entries()) expect(value).toBeCloseTo(expected[i]!.value, 5);
  }
});

test("the steps of a beam search lead to its captions", async () => {
  const networks = await tinyNetworks("mlp");
  const pixels = pixelsFor(networks, "e");
  const steps = await traceBeams(device, networks, pixels, BEAM);
  const histories = steps.reduce<number[][]>(
    (before, { source, next, length }) =>
      Array.from(source, (row, slot) => [...(before[row] ?? []), next[slot]!].slice(0, length[slot])),
    [],
  );
  const last = steps.at(-1)!;
  const ended = histories.map((tokens, slot) => ({
    tokens,
    score: last.score[slot]!,
    stopped: last.stopped[slot] === 1,
  }));
  const captions = await decode(networks, pixels, BEAM);
  expect(ended.sort((a, b) => b.score / b.tokens.length - a.score / a.tokens.length)).toEqual(captions);
  expect(new Set(steps.flatMap(({ source }) => [...source])).size).toBeGreaterThan(1); // beams did cross
});

test("inspection gives back all it took", async () => {
  const networks = await tinyNetworks("mlp");
  const used = () => {
    const { staging: _, empty: __, ...rest } = device.memory().byLabel; // the device keeps these for itself
    return rest;
  };
  const before = used();
  const pixels = pixelsFor(networks, "f");
  await nearestTokens(device, networks, values("v", 2 * C), 3);
  await inspectCaption(device, networks, pixels, [1, 2, 3]);
  await traceBeams(device, networks, pixels, BEAM);
  expect(used()).toEqual(before);
});

test("largest: the lowest token first where values are equal, and no more than there are", () => {
  expect(largest([1, 3, 2, 3], 3).map(({ token }) => token)).toEqual([1, 3, 2]);
  expect(largest([2, 1], 5).map(({ token }) => token)).toEqual([0, 1]);
});
