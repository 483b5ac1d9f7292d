import { describe, expect, it } from "vitest";
import { canonicalName, canonicalNames, describeMapper, requireShapes } from "../../../src/weights/names.js";
import { mapperShapes, type Shapes } from "../../../src/weights/shapes.js";
import { syntheticFile } from "../../../src/weights/synthetic.js";
import type { TensorFile } from "../../../src/weights/tensor-file.js";

const fileOf = (shapes: Shapes | [string, number[]][]): TensorFile => syntheticFile(new Map(shapes), "full", 1);

describe("canonicalNames", () => {
  it.each([
    ["gpt.transformer.wte.weight", "wte.weight"],
    ["transformer.h.0.ln_1.weight", "h.0.ln_1.weight"],
    ["h.0.ln_1.weight", "h.0.ln_1.weight"],
    ["module.gpt.transformer.ln_f.bias", "ln_f.bias"],
    ["gpt.lm_head.weight", "lm_head.weight"],
    ["clip_project.transformer.layers.0.norm1.weight", "clip_project.transformer.layers.0.norm1.weight"],
    ["vision_model.encoder.layers.0.self_attn.k_proj.bias", "vision_model.encoder.layers.0.self_attn.k_proj.bias"],
  ])("%s is %s", (name, expected) => expect(canonicalName(name)).toBe(expected));

  it("drops masks by name and rank, but keeps biases", async () => {
    const file = await canonicalNames(
      fileOf([
        ["h.0.attn.bias", [1, 1, 4, 4]],
        ["h.0.attn.masked_bias", []],
        ["h.0.attn.c_attn.bias", [12]],
        ["x.attn.bias", [4]],
        ["text_model.embeddings.position_ids", [1, 4]],
      ]),
    );
    expect([...file.tensors.keys()].sort()).toEqual(["h.0.attn.c_attn.bias", "x.attn.bias"]);
    await expect(file.readF32("h.0.attn.bias")).rejects.toThrow(/no tensor "h.0.attn.bias"/);
    expect(await file.readF32("h.0.attn.c_attn.bias")).toHaveLength(12);
  });

  it("refuses two tensors of one meaning, and an output layer of its own", async () => {
    await expect(
      canonicalNames(
        fileOf([
          ["wte.weight", [4, 2]],
          ["gpt.transformer.wte.weight", [4, 2]],
        ]),
      ),
    ).rejects.toThrow(/"wte.weight" and "gpt.transformer.wte.weight" both mean "wte.weight"/);
    const untied: [string, number[]][] = [
      ["transformer.wte.weight", [4, 2]],
      ["lm_head.weight", [4, 2]],
    ];
    await expect(canonicalNames(fileOf(untied))).rejects.toThrow(
      /output layer "lm_head.weight" differs from the token embedding/,
    );
  });
});

describe("describeMapper", () => {
  const sizes = { prefixLength: 10, clipWidth: 640, gptWidth: 768 };
  const transformer = { type: "transformer", ...sizes, prefixLength: 40, clipLength: 30, layers: 8, heads: 8 } as const;

  it("recognises both, at the sizes of the published checkpoints", () => {
    expect(describeMapper(fileOf(mapperShapes({ type: "mlp", ...sizes })), 768)).toEqual({ type: "mlp", ...sizes });
    expect(describeMapper(fileOf(mapperShapes(transformer)))).toEqual(transformer);
  });

  it("counts the parameters of docs/facts.md 1", () => {
    const count = (shapes: Shapes) =>
      [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(count(mapperShapes({ type: "mlp", ...sizes, clipWidth: 512 }))).toBe(31_468_800);
    expect(count(mapperShapes({ type: "mlp", ...sizes }))).toBe(31_960_320);
    expect(count(mapperShapes({ ...transformer, clipLength: 40 }))).toBe(57_520_128);
    expect(count(mapperShapes({ ...transformer, prefixLength: 10, clipLength: 10, clipWidth: 512 }))).toBe(41_745_408);
  });

  it.each<[string, Shapes | [string, number[]][], number | undefined, RegExp]>([
    ["no mapper", [["wte.weight", [4, 2]]], 2, /holds no mapper/],
    ["a single layer", [["clip_project.weight", [7680, 512]]], 768, /single linear layer/],
    ["an MLP without GPT-2's width", mapperShapes({ type: "mlp", ...sizes }), undefined, /width of GPT-2 is needed/],
    [
      "an MLP for another GPT-2",
      mapperShapes({ type: "mlp", ...sizes }),
      1024,
      /7680 rows, which is no multiple of GPT-2's width 1024/,
    ],
    [
      "a missing layer",
      [...mapperShapes(transformer)].filter(([name]) => !name.includes("layers.3.")) as [string, number[]][],
      undefined,
      /no tensor "clip_project.transformer.layers.3/,
    ],
    [
      "a strange tensor",
      [...mapperShapes({ type: "mlp", ...sizes }), ["clip_project.model.4.weight", [2, 2]]] as [string, number[]][],
      768,
      /"clip_project.model.4.weight" belongs to no known mapper/,
    ],
  ])("refuses %s", (_, shapes, width, message) => {
    expect(() => describeMapper(fileOf(shapes), width)).toThrow(message);
  });

  it("requireShapes tells ranks apart", () => {
    expect(() => requireShapes(fileOf([["a", []]]), new Map([["a", [0]]]))).toThrow(
      /"a" has shape \[\], but the configuration needs \[0\]/,
    );
  });
});
