import type { Sizes } from "../src/bench/end-to-end/networks.js";
import { parseClipConfig, parseGpt2Config } from "../src/weights/config.js";

/** GPT-2 for tests of the end-to-end benchmarks: small, but with the positions of their longest texts. */
export const TINY_GPT2 = parseGpt2Config({ n_embd: 64, n_layer: 2, n_head: 4, vocab_size: 211, n_positions: 256 });

const TOWER = { hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4 };

export const TINY_SIZES: Sizes = {
  name: "tiny",
  vision: parseClipConfig({
    projection_dim: 512,
    vision_config: { ...TOWER, image_size: 32, patch_size: 16 },
    text_config: TOWER,
  }).vision,
  mapper: { type: "mlp", prefixLength: 10, clipWidth: 512, gptWidth: 64 },
  gpt2: TINY_GPT2,
};
