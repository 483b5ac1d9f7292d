import { l2Normalize } from "../kernels/l2norm/l2norm.js";
import { linear } from "../kernels/matmul/matmul.js";
import { concatRows, sliceRows } from "../kernels/rows/rows.js";
import type { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";
import type { MapperConfig } from "../weights/config.js";
import { type BlockWeights, block, selfAttention } from "./block.js";
import type { LinearWeights, WeightLoader } from "./weights.js";

/** From CLIP's embedding to K vectors in GPT-2's input space. */
export type Mapper = MlpMapper | TransformerMapper;

export interface MlpMapper {
  readonly config: Extract<MapperConfig, { type: "mlp" }>;
  /** [K*C/2, E] */
  readonly fc1: LinearWeights;
  /** [K*C, K*C/2] */
  readonly fc2: LinearWeights;
}

export interface TransformerMapper {
  readonly config: Extract<MapperConfig, { type: "transformer" }>;
  /** [L*C, E] */
  readonly linear: LinearWeights;
  /** [K, C]: learned, the same for every image; the output is what becomes of them. */
  readonly prefixConst: Tensor;
  readonly blocks: readonly BlockWeights[];
}

/** The original's layer norms have torch's default epsilon; no file says so. */
const EPS = 1e-5;

/** Either mapper; the names of the original checkpoints (docs/facts.md 1). */
export async function loadMapper(w: WeightLoader, c: MapperConfig): Promise<Mapper> {
  const { prefixLength: K, clipWidth: E, gptWidth: C } = c;
  if (c.type === "mlp") {
    const inner = Math.floor((C * K) / 2);
    return {
      config: c,
      fc1: await w.linear("clip_project.model.0", [inner, E]),
      fc2: await w.linear("clip_project.model.2", [C * K, inner]),
    };
  }
  const blocks: BlockWeights[] = [];
  for (let i = 0; i < c.layers; i++) {
    const at = `clip_project.transformer.layers.${i}`;
    blocks.push({
      norm1: await w.norm(`${at}.norm1`, C),
      qkv: { weight: await loadQkv(w, at, C) },
      project: await w.linear(`${at}.attn.project`, [C, C]),
      norm2: await w.norm(`${at}.norm2`, C),
      fc1: await w.linear(`${at}.mlp.fc1`, [2 * C, C]),
      fc2: await w.linear(`${at}.mlp.fc2`, [C, 2 * C]),
    });
  }
  return {
    config: c,
    linear: await w.linear("clip_project.linear", [c.clipLength * C, E]),
    prefixConst: await w.vector("clip_project.prefix_const", [K, C]),
    blocks,
  };
}

/** The file keeps q apart from k|v; stacked they are the q|k|v of the other models (docs/facts.md 1). */
function loadQkv(w: WeightLoader, at: string, C: number): Promise<Tensor> {
  return w.stack(
    [
      { name: `${at}.attn.to_queries.weight`, rows: C },
      { name: `${at}.attn.to_keys_values.weight`, rows: 2 * C },
    ],
    C,
  );
}

/** CLIP's embeddings [B, E] -> prefixes [B*K, C]; `normalizePrefix`: the mapper takes embeddings of length 1. */
export function prefixOf(
  p: Program,
  { mapper: m, normalizePrefix }: { readonly mapper: Mapper; readonly normalizePrefix: boolean },
  embeds: Tensor,
): Tensor {
  const clip = normalizePrefix ? l2Normalize(p, embeds, { label: "clip.normalised" }) : embeds;
  return mapper(p, m, clip).prefix;
}

/** clip [B, E] -> prefix [B*K, C]; `hidden` [B*(L+K), C] only from the transformer. */
export function mapper(p: Program, m: Mapper, clip: Tensor): { readonly prefix: Tensor; readonly hidden: Tensor[] } {
  const B = clip.shape[0]!;
  const { prefixLength: K, gptWidth: C } = m.config;
  if ("fc1" in m) {
    const { fc1, fc2 } = m;
    const h = linear(p, clip, fc1.weight, { bias: fc1.bias, activation: "tanh", label: "mapper.fc1" });
    const y = linear(p, h, fc2.weight, { bias: fc2.bias, label: "mapper.fc2" }); // [B, K*C]
    return { prefix: y.reshape(B * K, C), hidden: [] };
  }
  const { clipLength: L, heads } = m.config;
  const spread = linear(p, clip, m.linear.weight, { bias: m.linear.bias, label: "mapper.linear" }); // [B, L*C]
  const spreadRows = spread.reshape(B * L, C);
  let x = concatRows(p, spreadRows, m.prefixConst, { batch: B, shared: true, label: "mapper.tokens" });
  const T = L + K;
  const hidden = [x];
  for (const [i, weights] of m.blocks.entries()) {
    const attend = selfAttention(p, { batch: B, tokens: T, heads, causal: false });
    x = block(p, x, weights, { activation: "relu", eps: EPS, label: `mapper.h${i}` }, attend);
    hidden.push(x);
  }
  return { prefix: sliceRows(p, x, { batch: B, from: L, to: T, label: "mapper.prefix" }), hidden };
}
