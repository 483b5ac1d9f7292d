import { describe, expect, it } from "vitest";
import { parseClipConfig, parseGpt2Config } from "../../../src/weights/config.js";
import { parseJsonObject } from "../../../src/weights/json-fields.js";
import { goldenJson } from "../../goldens.js";

describe("parseClipConfig", () => {
  it("reads the tiny configuration", () => {
    const { vision, text } = parseClipConfig(goldenJson("tiny", "tiny-clip", "config.json"));
    const shared = { width: 64, inner: 256, layers: 2, heads: 4, projection: 48, activation: "quick_gelu", eps: 1e-5 };
    expect(vision).toEqual({ ...shared, imageSize: 32, patchSize: 8 });
    expect(text).toEqual({ ...shared, vocab: 100, positions: 16, eosId: 99 });
  });

  it("fills in ViT-B/32, which newer files leave out", () => {
    const { vision, text } = parseClipConfig({ model_type: "clip", vision_config: {}, text_config: null });
    expect(vision).toMatchObject({
      width: 768,
      inner: 3072,
      layers: 12,
      heads: 12,
      imageSize: 224,
      patchSize: 32,
      projection: 512,
    });
    expect(text).toMatchObject({
      vocab: 49408,
      width: 512,
      inner: 2048,
      layers: 12,
      heads: 8,
      positions: 77,
      eosId: 49407,
    });
  });

  it.each([
    [{ projection_dim: 0 }, /config.json: "projection_dim" must be a whole number from 1 to 100000000, not 0/],
    [{ projection_dim: "512" }, /"projection_dim" must be .* not "512"/],
    [
      { vision_config: { hidden_size: 100, num_attention_heads: 12 } },
      /config.json: vision_config: "num_attention_heads" must be a divisor of the width 100, not 12/,
    ],
    [{ vision_config: { hidden_act: "swish" } }, /"hidden_act" must be one of gelu_new, .*relu.* not "swish"/],
    [{ vision_config: { hidden_act: "constructor" } }, /"hidden_act" must be one of/],
    [{ vision_config: { patch_size: 500 } }, /"patch_size" must be a whole number from 1 to 224, not 500/],
    [{ vision_config: { patch_size: 15 } }, /"patch_size" must be a divisor of image_size, 224, not 15/],
    [{ vision_config: { num_channels: 1 } }, /"num_channels" must be 3/],
    [{ vision_config: { num_hidden_layers: 1e9 } }, /"num_hidden_layers" must be/],
    [{ vision_config: { layer_norm_eps: 0 } }, /"layer_norm_eps" must be a number from 1e-12 to 1, not 0/],
    [{ vision_config: [] }, /vision_config must be a JSON object/],
    [{ text_config: { vocab_size: 1.5 } }, /text_config: "vocab_size" must be a whole number/],
  ])("refuses %j", (json, message) => {
    expect(() => parseClipConfig(json)).toThrow(message);
  });
});

describe("parseGpt2Config", () => {
  it("reads the tiny configuration and the defaults of gpt2", () => {
    expect(parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json"))).toEqual({
      vocab: 211,
      positions: 48,
      width: 64,
      inner: 256,
      layers: 2,
      heads: 4,
      activation: "gelu_new",
      eps: 1e-5,
      eosId: 210,
      dropout: { embedding: 0.1, attention: 0.1, residual: 0.1 },
    });
    expect(parseGpt2Config({ n_inner: null })).toMatchObject({
      vocab: 50257,
      positions: 1024,
      width: 768,
      inner: 3072,
      heads: 12,
    });
  });

  it("takes the other name of the tanh form", () => {
    expect(parseGpt2Config({ activation_function: "gelu_pytorch_tanh" }).activation).toBe("gelu_new");
  });

  it.each([
    [{ n_head: 7 }, /"n_head" must be a divisor of the width 768, not 7/],
    [{ n_embd: -1 }, /"n_embd" must be a whole number/],
    [{ activation_function: "silu" }, /"activation_function" must be one of/],
    [{ add_cross_attention: true }, /"add_cross_attention" must be false, not true/],
    [{ scale_attn_by_inverse_layer_idx: true }, /"scale_attn_by_inverse_layer_idx" must be false/],
    [{ scale_attn_weights: false }, /"scale_attn_weights" must be true/],
    [{ tie_word_embeddings: false }, /"tie_word_embeddings" must be true/],
    [{ tie_word_embeddings: "yes" }, /"tie_word_embeddings" must be true or false, not "yes"/],
    [{ resid_pdrop: 1 }, /"resid_pdrop" must be a number from 0 to 0.99/],
  ])("refuses %j", (json, message) => {
    expect(() => parseGpt2Config(json)).toThrow(message);
  });

  it("names files that are no JSON objects, and cuts hostile values short", () => {
    expect(() => parseJsonObject("gpt2/config.json", "{")).toThrow(/gpt2\/config.json is not valid JSON/);
    expect(() => parseJsonObject("x.json", "[1]")).toThrow(/x.json must be a JSON object, not a list/);
    expect(() => parseJsonObject("x.json", `{"a":${"[".repeat(101)}${"]".repeat(101)}}`)).toThrow(
      "x.json is nested more than 100 deep.",
    );
    expect(() => parseGpt2Config({ n_head: "9".repeat(10_000) })).toThrow(/not "9{59}…\.$/);
  });
});
