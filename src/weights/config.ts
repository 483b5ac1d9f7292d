import { Fields, type JsonObject } from "./json-fields.js";

/** Activations that published CLIP and GPT-2 configurations name; gelu_new is the tanh form, gelu the exact one. */
export type Activation = "gelu_new" | "gelu" | "quick_gelu" | "relu" | "tanh";

/** Names in config.json -> ours; the first two are the same formula under two names. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu_new: "gelu_new",
  gelu_pytorch_tanh: "gelu_new",
  gelu: "gelu",
  quick_gelu: "quick_gelu",
  relu: "relu",
  tanh: "tanh",
};

export interface ClipVisionConfig {
  /** Channels of the residual stream. */
  readonly width: number;
  /** Width of the hidden layer of the MLPs. */
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  /** Pixels; images are square. */
  readonly imageSize: number;
  readonly patchSize: number;
  /** Width of the embedding that both towers project to. */
  readonly projection: number;
  readonly activation: Activation;
  /** Epsilon of the layer norms. */
  readonly eps: number;
}

export interface ClipTextConfig {
  readonly vocab: number;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  /** Longest text in tokens. */
  readonly positions: number;
  readonly projection: number;
  readonly activation: Activation;
  readonly eps: number;
  /** The text is pooled at its first eosId; 2 is a historical slip in published files and means the largest id instead. */
  readonly eosId: number;
}

export interface ClipConfig {
  readonly vision: ClipVisionConfig;
  readonly text: ClipTextConfig;
}

export interface Gpt2Config {
  readonly vocab: number;
  /** Longest sequence in tokens, prefix included. */
  readonly positions: number;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly activation: Activation;
  readonly eps: number;
  readonly eosId: number;
  /** Probabilities used in training. */
  readonly dropout: { readonly embedding: number; readonly attention: number; readonly residual: number };
}

/** The network from CLIP's embedding, E = clipWidth, to the prefix, K = prefixLength vectors of C = gptWidth. */
export type MapperConfig =
  | { readonly type: "mlp"; readonly prefixLength: number; readonly clipWidth: number; readonly gptWidth: number }
  | {
      readonly type: "transformer";
      readonly prefixLength: number;
      /** L: vectors that the embedding is spread over. */
      readonly clipLength: number;
      readonly clipWidth: number;
      readonly gptWidth: number;
      readonly layers: number;
      readonly heads: number;
    };

/** Heads of the transformer mapper; shapes do not tell them and the original never changes them (docs/facts.md 1). */
export const MAPPER_HEADS = 8;

/**
 * Reads a Hugging Face CLIP config.json. Fields that such a file may leave out have the defaults of transformers.
 * @throws ClipCapError `bad-weights` naming the field.
 */
export function parseClipConfig(json: JsonObject, file = "clip/config.json"): ClipConfig {
  const root = new Fields(file, json);
  const projection = root.int("projection_dim", 512);
  const vision = root.object("vision_config");
  const text = root.object("text_config");
  if (vision.int("num_channels", 3) !== 3) throw vision.error("num_channels", "3 (red, green, blue)");
  const imageSize = vision.int("image_size", 224, 1, 4096);
  const patchSize = vision.int("patch_size", 32, 1, imageSize);
  if (imageSize % patchSize !== 0) throw vision.error("patch_size", `a divisor of image_size, ${imageSize}`);
  return {
    vision: {
      ...tower(vision, { width: 768, inner: 3072, heads: 12 }),
      imageSize,
      patchSize,
      projection,
    },
    text: {
      ...tower(text, { width: 512, inner: 2048, heads: 8 }),
      vocab: text.int("vocab_size", 49408),
      positions: text.int("max_position_embeddings", 77),
      projection,
      eosId: text.int("eos_token_id", 49407, 0),
    },
  };
}

/** What both towers have, with the defaults of their kind. */
function tower(fields: Fields, defaults: { width: number; inner: number; heads: number }) {
  const width = fields.int("hidden_size", defaults.width);
  return {
    width,
    inner: fields.int("intermediate_size", defaults.inner),
    layers: fields.int("num_hidden_layers", 12, 1, 1000),
    heads: heads(fields, "num_attention_heads", defaults.heads, width),
    activation: activation(fields, "hidden_act", "quick_gelu"),
    eps: fields.float("layer_norm_eps", 1e-5, 1e-12, 1),
  };
}

/**
 * Reads a Hugging Face GPT-2 config.json, with the defaults of transformers. Refuses options that would change the
 * numbers and are not supported (cross attention, layer-wise attention scaling, an untied output layer).
 */
export function parseGpt2Config(json: JsonObject, file = "gpt2/config.json"): Gpt2Config {
  const fields = new Fields(file, json);
  const width = fields.int("n_embd", 768);
  const vocab = fields.int("vocab_size", 50257);
  if (fields.bool("add_cross_attention", false)) throw fields.error("add_cross_attention", "false");
  if (fields.bool("scale_attn_by_inverse_layer_idx", false)) {
    throw fields.error("scale_attn_by_inverse_layer_idx", "false");
  }
  if (!fields.bool("scale_attn_weights", true)) throw fields.error("scale_attn_weights", "true");
  if (!fields.bool("tie_word_embeddings", true)) throw fields.error("tie_word_embeddings", "true");
  return {
    vocab,
    positions: fields.int("n_positions", 1024),
    width,
    inner: fields.int("n_inner", 4 * width),
    layers: fields.int("n_layer", 12, 1, 1000),
    heads: heads(fields, "n_head", 12, width),
    activation: activation(fields, "activation_function", "gelu_new"),
    eps: fields.float("layer_norm_epsilon", 1e-5, 1e-12, 1),
    eosId: fields.int("eos_token_id", 50256, 0),
    dropout: {
      embedding: fields.float("embd_pdrop", 0.1, 0, 0.99),
      attention: fields.float("attn_pdrop", 0.1, 0, 0.99),
      residual: fields.float("resid_pdrop", 0.1, 0, 0.99),
    },
  };
}

function heads(fields: Fields, key: string, fallback: number, width: number): number {
  const count = fields.int(key, fallback);
  if (width % count !== 0) throw fields.error(key, `a divisor of the width ${width}`);
  return count;
}

function activation(fields: Fields, key: string, fallback: Activation): Activation {
  return ACTIVATIONS[fields.word(key, Object.keys(ACTIVATIONS), fallback)]!;
}
