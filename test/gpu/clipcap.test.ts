import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RgbImage } from "../../src/data/image/rgb.js";
import { ClipCap, type Device, modelFolder } from "../../src/node.js";
import { testDevice } from "./harness.js";

let device: Device;
let used: number;
beforeAll(async () => {
  device = await testDevice();
  used = usedBytes();
});
afterAll(() => device?.close());

/** Without what the device keeps for itself: small buffers for reading back, and one for bindings of nothing. */
function usedBytes(): number {
  const { used, byLabel } = device.memory();
  return used - (byLabel.staging ?? 0) - (byLabel.empty ?? 0);
}

/** A grey ramp. */
const image: RgbImage = { width: 120, height: 120, data: Uint8Array.from({ length: 43_200 }, (_, i) => i % 251) };
const load = async (): Promise<ClipCap> => ClipCap.load(device, await modelFolder());
/** A caption that does not end by itself. */
const long = { stop: [], maxTokens: 50 };

describe("a model that is closed", () => {
  test("while it captions: the call is stopped, nothing stays allocated, the device goes on", async () => {
    const model = await load();
    await model.prepare(1, long);
    const closing = model.caption([image], long);
    const waiting = model.embed([image]);
    const outcomes = Promise.allSettled([closing, waiting]);
    await new Promise((resolve) => setTimeout(resolve, 1));
    model.close();
    expect(await outcomes).toMatchObject([
      { status: "rejected", reason: { code: "aborted" } },
      { status: "rejected", reason: { code: "bad-usage", message: expect.stringContaining("was closed") } },
    ]);
    await expect(model.caption([image])).rejects.toMatchObject({ code: "bad-usage" });
    await expect(model.prepare(1)).rejects.toMatchObject({ code: "bad-usage" });
    model.close();
    expect(usedBytes()).toBe(used);

    const next = await load();
    expect(await next.caption([image])).toHaveLength(1);
    next.close();
    expect(usedBytes()).toBe(used);
  });
});

test.each([
  ["f32", 30e6],
  ["q8", 5e6],
  ["q8", 14.2e6],
] as const)("a model in %s that does not fit in %d bytes leaves nothing behind", async (dtype, maxMemory) => {
  const small = await testDevice({ maxMemory });
  await expect(ClipCap.load(small, await modelFolder(), { dtype })).rejects.toMatchObject({ code: "out-of-memory" });
  const { staging: _kept, empty: _zeros, ...rest } = small.memory().byLabel;
  expect(rest).toEqual({});
  small.close();
});

describe("several calls on one model", () => {
  test("run one after the other; a stream that is left early stops", async () => {
    const model = await load();
    const [alone] = (await model.caption([image]))[0]!;
    for await (const piece of model.stream(image, long)) if (piece !== "") break;
    const [a, b, c] = await Promise.all([
      model.caption([image]),
      model.caption([image, image], { beam: 2 }),
      model.caption([image]),
    ]);
    expect([a[0]![0]!.tokens, c[0]![0]!.tokens]).toEqual([alone!.tokens, alone!.tokens]);
    expect(b.map((list) => list[0]!.text)).toEqual([b[0]![0]!.text, b[0]![0]!.text]);
    model.close();
    expect(usedBytes()).toBe(used);
  });
});

describe("what callers without types may do", () => {
  test("one image instead of a list, no images to prepare for", async () => {
    const model = await load();
    for (const call of [model.caption(image as never), model.embed(image as never)]) {
      await expect(call).rejects.toMatchObject({ code: "bad-usage", message: expect.stringContaining("[image]") });
    }
    await expect(model.prepare(0)).rejects.toMatchObject({ code: "bad-usage" });
    model.close();
  });

  test("what is no image or no embedding is refused, whatever an earlier call left behind", async () => {
    const model = await load();
    const [embedding] = await model.embed([image]);
    const { width, height } = image;
    const holes = [image, image, image];
    delete holes[1];
    const wrongImages: unknown[] = [
      holes,
      new Array(2),
      [undefined],
      [{ width, height }],
      [{ ...image, data: Float32Array.from(image.data, (x) => x / 255) }],
      [{ ...image, data: Array.from(image.data) }],
    ];
    for (const images of wrongImages) {
      const message = "an image is { width, height, data } with RGB bytes in a Uint8Array";
      await expect(model.caption(images as RgbImage[])).rejects.toMatchObject({ code: "bad-input", message });
      await expect(model.embed(images as RgbImage[])).rejects.toMatchObject({ code: "bad-input", message });
    }
    await expect(model.stream(undefined as never).next()).rejects.toMatchObject({ code: "bad-input" });
    const wrongEmbeddings: unknown[] = [
      [Array.from(embedding!)],
      [Float64Array.from(embedding!), embedding],
      [undefined],
      new Array(1),
      [embedding!.map(() => Number.NaN)],
    ];
    for (const embeddings of wrongEmbeddings) {
      await expect(model.captionEmbeddings(embeddings as Float32Array[])).rejects.toMatchObject({ code: "bad-input" });
    }
    await expect(model.embed([image], { beam: 4 } as never)).rejects.toMatchObject({ code: "bad-usage" });
    await expect(model.prepare(1, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
    model.close();
  });
});

describe("files that do not belong together are refused, and nothing stays allocated", () => {
  const folder = new URL("../../weights/flickr8k-small/", import.meta.url);
  const PATHS = [
    ...["clip/config.json", "clip/model.safetensors", "clip/preprocessor_config.json"],
    ...["gpt2/config.json", "gpt2/model.safetensors", "gpt2/tokenizer.json", "clipcap.json", "mapper.safetensors"],
  ];

  test.each<[string, string, (json: Record<string, never>) => unknown, RegExp]>([
    [
      "another tokenizer",
      "gpt2/tokenizer.json",
      (json) => ({ ...json, added_tokens: [], model: { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] } }),
      /the tokenizer has 2 tokens, but config.json says 4096/,
    ],
    ["stop tokens", "clipcap.json", (json) => ({ ...json, stop_tokens: [4096] }), /at most 16 ids below 4096/],
    [
      "preprocessing",
      "clip/preprocessor_config.json",
      (json) => ({ ...json, do_center_crop: true, size: 300, crop_size: 300 }),
      /makes images of 300x300, but config.json asks for 112x112/,
    ],
  ])("%s", async (_, path, change, message) => {
    const files = new Map(PATHS.map((name): [string, Uint8Array] => [name, readFileSync(new URL(name, folder))]));
    const json = JSON.parse(new TextDecoder().decode(files.get(path)));
    files.set(path, new TextEncoder().encode(JSON.stringify(change(json))));
    await expect(ClipCap.load(device, files)).rejects.toMatchObject({
      code: "bad-weights",
      message: expect.stringMatching(message),
    });
    expect(usedBytes()).toBe(used);
  });

  test("weights that are not finite, layers without a place and types that there are none of are refused", async () => {
    const files = () => new Map(PATHS.map((name): [string, Uint8Array] => [name, readFileSync(new URL(name, folder))]));
    const damaged = files();
    const mapper = new Uint8Array(damaged.get("mapper.safetensors")!);
    mapper.fill(0xff, mapper.length - 4);
    damaged.set("mapper.safetensors", mapper);
    await expect(ClipCap.load(device, damaged)).rejects.toThrow(/holds NaN or infinity/);
    const shorter = files();
    const config = JSON.parse(new TextDecoder().decode(shorter.get("gpt2/config.json")));
    const fewer = { ...config, n_layer: config.n_layer - 1 };
    shorter.set("gpt2/config.json", new TextEncoder().encode(JSON.stringify(fewer)));
    await expect(ClipCap.load(device, shorter)).rejects.toThrow(/is of a layer that the configuration does not have/);
    await expect(ClipCap.load(device, files(), { dtype: "f64" as never })).rejects.toThrow(
      "dtype is f64; it must be one of",
    );
    expect(usedBytes()).toBe(used);
  });
});

test("captions of embeddings are those of their images; embeddings of another width are refused", async () => {
  const model = await load();
  const other: RgbImage = { ...image, data: image.data.map((x, i) => (i % 3 === 0 ? 255 - x : x)) };
  const captions = await model.caption([image, other]);
  expect(captions[0]![0]!.logprob).not.toBe(captions[1]![0]!.logprob);
  expect(await model.captionEmbeddings(await model.embed([image, other]))).toEqual(captions);
  expect(await model.captionEmbeddings([])).toEqual([]);
  await expect(model.captionEmbeddings([new Float32Array(512)])).rejects.toMatchObject({
    code: "bad-input",
    message: "an embedding of this model's CLIP is a Float32Array of 256 finite values",
  });
  model.close();
});
