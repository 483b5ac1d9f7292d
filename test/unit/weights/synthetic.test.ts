import { describe, expect, it } from "vitest";
import { parseClipConfig, parseGpt2Config } from "../../../src/weights/config.js";
import { clipTextShapes, clipVisionShapes, gpt2Shapes, mapperShapes } from "../../../src/weights/shapes.js";
import { syntheticFile, syntheticInts, syntheticTensor, valueRule } from "../../../src/weights/synthetic.js";
import { goldenJson, goldenTensors } from "../../goldens.js";

interface TensorCheck {
  name: string;
  shape: number[];
  std: number;
  offset: number;
  first4: number[];
  last: number;
  sum: number;
}

const FULL_GPT2 = parseGpt2Config({});
const FULL_CLIP = parseClipConfig({});
const mapper = { clipWidth: 512, gptWidth: 768, prefixLength: 10 };
const full = new Map([
  ...clipVisionShapes(FULL_CLIP.vision),
  ...clipTextShapes(FULL_CLIP.text),
  ...gpt2Shapes(FULL_GPT2, "gpt.transformer."),
  ...mapperShapes({ ...mapper, type: "mlp" }),
  ...mapperShapes({ ...mapper, type: "transformer", clipLength: 10, layers: 8, heads: 8 }),
]);

describe("synthetic weights", () => {
  const { seed, tensor_checks: checks } = goldenJson<{ seed: number; tensor_checks: TensorCheck[] }>("full.json");

  it("has the 16 golden tensors to check", () => expect(checks).toHaveLength(16));

  it.each(checks)("$name equals the reference bit for bit", ({ name, shape, std, offset, first4, last, sum }) => {
    expect(valueRule(name, "full")).toEqual({ std, offset });
    if (!name.startsWith("clipcap/")) expect(full.get(name)).toEqual(shape);
    const values = syntheticTensor(name, shape, seed, std, offset);
    expect([...values.subarray(0, 4)]).toEqual(first4.slice(0, values.length).map(Math.fround));
    expect(values.at(-1)).toBe(Math.fround(last));
    let total = 0;
    for (const value of values) total += value;
    expect(Math.abs(total - sum)).toBeLessThan(1e-9 * values.length);
  });

  it.each([
    ["tiny-gpt2", gpt2Shapes(parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json")))],
    ["tiny-clip", tinyClipShapes()],
    ["tiny-clipcap-mlp", tinyClipcapShapes("mlp")],
    ["tiny-clipcap-transformer", tinyClipcapShapes("transformer")],
  ])("%s: every tensor of the file on disk equals the formula", async (model, shapes) => {
    const file = await goldenTensors("tiny", model, "model.safetensors");
    const weights = [...file.tensors.values()].filter((t) => t.dtype === "F32" && !/^h\.\d+\.attn\.bias$/.test(t.name));
    const withoutPrefix = new Map(weights.map((t) => [t.name.replace("gpt.transformer.", ""), t]));
    expect([...withoutPrefix.keys()].sort()).toEqual([...shapes.keys()].sort());
    const made = syntheticFile(shapes, "tiny", seed);
    for (const [name, info] of withoutPrefix) {
      expect(info.shape).toEqual(shapes.get(name));
      expect(Buffer.compare(await made.readBytes(name), await file.readBytes(info.name))).toBe(0);
    }
  });

  it("reads rows and byte ranges as parts of the whole", async () => {
    const file = syntheticFile(new Map([["a.weight", [6, 5]]]), "full", 7);
    const whole = await file.readF32("a.weight");
    expect(await file.readF32("a.weight", { rows: [2, 4] })).toEqual(whole.slice(10, 20));
    expect(await file.readBytes("a.weight", 7, 21)).toEqual(new Uint8Array(whole.buffer).slice(7, 28));
    await expect(file.readF32("b.weight")).rejects.toThrow(/no tensor "b.weight"/);
  });

  it("gives integers inside their range", () => {
    const values = syntheticInts("ids", [1000], 5, 9, 1);
    expect(new Set(values)).toEqual(new Set([5, 6, 7, 8]));
  });
});

function tinyClipShapes() {
  const { vision, text } = parseClipConfig(goldenJson("tiny", "tiny-clip", "config.json"));
  return new Map([...clipVisionShapes(vision), ...clipTextShapes(text)]);
}

function tinyClipcapShapes(type: "mlp" | "transformer") {
  const sizes = { prefixLength: 4, clipLength: 3, clipWidth: 48, gptWidth: 64, layers: 2, heads: 8 };
  const gpt2 = gpt2Shapes(parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json")));
  return new Map([...gpt2, ...mapperShapes({ type, ...sizes })]);
}
