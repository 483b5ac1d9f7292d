import { describe, expect, it } from "vitest";
import { initialClip, initialGpt2, initialMapper } from "../../../src/train/initial.js";
import { parseClipConfig, parseGpt2Config } from "../../../src/weights/config.js";
import type { TensorFile } from "../../../src/weights/tensor-file.js";

const gpt2 = initialGpt2(parseGpt2Config({ vocab_size: 512, n_positions: 64, n_embd: 64, n_layer: 2, n_head: 4 }), 1);
const clipConfig = parseClipConfig({
  projection_dim: 48,
  vision_config: {
    hidden_size: 64,
    intermediate_size: 256,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    image_size: 32,
    patch_size: 8,
  },
  text_config: {
    hidden_size: 96,
    intermediate_size: 192,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    vocab_size: 512,
  },
});
const clip = initialClip(clipConfig, 1);
const clearer = initialClip(clipConfig, 1, { patches: 0.1, positions: 0.5 });
const mapper = initialMapper(
  { type: "transformer", prefixLength: 40, clipLength: 4, clipWidth: 48, gptWidth: 64, layers: 1, heads: 8 },
  1,
);
const mlp = initialMapper({ type: "mlp", prefixLength: 4, clipWidth: 48, gptWidth: 64 }, 1);

async function deviation(file: TensorFile, name: string): Promise<number> {
  const values = await file.readF32(name);
  return Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
}

describe("standard deviations are those of transformers and torch", () => {
  // name, deviation; CLIP's follow from width C and depth n of the tower: C^-1/2, (2Cn)^-1/2, (2C)^-1/2.
  it.each([
    [gpt2, "wte.weight", 0.02],
    [gpt2, "h.1.attn.c_attn.weight", 0.02],
    [gpt2, "h.1.attn.c_proj.weight", 0.02 / 2],
    [gpt2, "h.0.mlp.c_proj.weight", 0.02 / 2],
    [gpt2, "h.0.ln_1.weight", 1],
    [gpt2, "ln_f.weight", 1],
    [gpt2, "h.0.mlp.c_fc.bias", 0],
    [clip, "vision_model.embeddings.class_embedding", 64 ** -0.5],
    [clip, "vision_model.embeddings.patch_embedding.weight", 0.02],
    [clip, "vision_model.embeddings.position_embedding.weight", 0.02],
    [clearer, "vision_model.embeddings.patch_embedding.weight", 0.1],
    [clearer, "vision_model.embeddings.position_embedding.weight", 0.5],
    [clearer, "text_model.embeddings.position_embedding.weight", 0.02],
    [clip, "vision_model.encoder.layers.0.self_attn.q_proj.weight", 256 ** -0.5],
    [clip, "vision_model.encoder.layers.0.self_attn.out_proj.weight", 64 ** -0.5],
    [clip, "vision_model.encoder.layers.1.mlp.fc1.weight", 128 ** -0.5],
    [clip, "vision_model.encoder.layers.1.mlp.fc2.weight", 256 ** -0.5],
    [clip, "vision_model.pre_layrnorm.weight", 1],
    [clip, "visual_projection.weight", 64 ** -0.5],
    [clip, "text_model.encoder.layers.2.self_attn.k_proj.weight", 576 ** -0.5],
    [clip, "text_model.embeddings.token_embedding.weight", 0.02],
    [clip, "text_projection.weight", 96 ** -0.5],
    [clip, "text_model.final_layer_norm.bias", 0],
    [clip, "logit_scale", 2.6592],
    [mapper, "clip_project.prefix_const", 1],
    [mapper, "clip_project.linear.weight", (48 * 3) ** -0.5],
    [mapper, "clip_project.transformer.layers.0.attn.to_keys_values.weight", (64 * 3) ** -0.5],
    [mapper, "clip_project.transformer.layers.0.mlp.fc2.bias", (128 * 3) ** -0.5],
    [mapper, "clip_project.transformer.layers.0.norm2.weight", 1],
    [mlp, "clip_project.model.2.weight", (128 * 3) ** -0.5],
    [mlp, "clip_project.model.0.bias", (48 * 3) ** -0.5],
  ] as const)("%# %s", async (file, name, expected) => {
    const found = await deviation(file, name);
    const count = file.tensors.get(name)!.byteLength / 4;
    // Exact for constants; else within four standard errors of the deviation of a normal sample.
    const constant = expected === 0 || expected === 1 || name === "logit_scale";
    if (constant && !name.endsWith("prefix_const")) expect(found).toBeCloseTo(expected, 6);
    else expect(Math.abs(found / expected - 1)).toBeLessThan(4 / Math.sqrt(2 * count));
  });
});

it("reads by rows and by bytes what it reads as a whole; another seed gives other values", async () => {
  const whole = await gpt2.readF32("wte.weight");
  expect(await gpt2.readF32("wte.weight", { rows: [3, 5] })).toEqual(whole.slice(3 * 64, 5 * 64));
  const bytes = await gpt2.readBytes("wte.weight", 4, 8);
  expect(new Float32Array(bytes.buffer)).toEqual(whole.slice(1, 3));
  const other = initialGpt2(
    parseGpt2Config({ vocab_size: 512, n_positions: 64, n_embd: 64, n_layer: 2, n_head: 4 }),
    2,
  );
  expect(await other.readF32("wte.weight")).not.toEqual(whole);
  expect(await gpt2.readF32("wpe.weight")).not.toEqual(whole.slice(0, 64 * 64));
});
