import { embedding, gatherIndexed } from "../kernels/embedding/embedding.js";
import { layerNorm } from "../kernels/layernorm/layernorm.js";
import { linear } from "../kernels/matmul/matmul.js";
import { assembleTokens, patches } from "../kernels/patch/patch.js";
import { gatherRows } from "../kernels/rows/rows.js";
import type { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";
import type { ClipTextConfig, ClipVisionConfig } from "../weights/config.js";
import { type BlockWeights, block, selfAttention } from "./block.js";
import type { NormWeights, WeightLoader } from "./weights.js";

/** What a tower computes; `hidden` holds the residual stream before the first block and after every block. */
export interface TowerOutput {
  readonly hidden: readonly Tensor[];
  /** [B, C] */
  readonly pooled: Tensor;
  /** [B, E], not normalised. */
  readonly embeds: Tensor;
}

export interface ClipVision {
  readonly config: ClipVisionConfig;
  /** [C, 3*P*P], of patches of P x P pixels. */
  readonly patch: Tensor;
  /** [C] */
  readonly classToken: Tensor;
  /** [T, C]: of the class token, then of the patches row by row. */
  readonly positions: Tensor;
  readonly preNorm: NormWeights;
  readonly blocks: readonly BlockWeights[];
  readonly postNorm: NormWeights;
  /** [E, C] */
  readonly projection: Tensor;
}

/** Hugging Face names; `pre_layrnorm` is misspelt in the files (docs/facts.md 8). */
export async function loadClipVision(w: WeightLoader, c: ClipVisionConfig): Promise<ClipVision> {
  const tokens = (c.imageSize / c.patchSize) ** 2 + 1;
  const base = "vision_model";
  return {
    config: c,
    patch: await w.matrix(`${base}.embeddings.patch_embedding.weight`, [c.width, 3 * c.patchSize ** 2]),
    classToken: await w.vector(`${base}.embeddings.class_embedding`, [c.width]),
    positions: await w.vector(`${base}.embeddings.position_embedding.weight`, [tokens, c.width]),
    preNorm: await w.norm(`${base}.pre_layrnorm`, c.width),
    blocks: await loadBlocks(w, base, c),
    postNorm: await w.norm(`${base}.post_layernorm`, c.width),
    projection: await w.matrix("visual_projection.weight", [c.projection, c.width]),
  };
}

/** pixels f32 [B, 3, S, S], preprocessed -> image embeddings [B, E]. T: the class token and (S/P)^2 patches. */
export function clipVision(p: Program, m: ClipVision, pixels: Tensor): TowerOutput {
  const { config: c } = m;
  const B = pixels.shape[0]!;
  const T = m.positions.rows;
  const patchRows = patches(p, pixels, { channels: 3, size: c.imageSize, patch: c.patchSize, label: "clip.patches" });
  const embedded = linear(p, patchRows, m.patch, { label: "clip.patch_embedding" }); // [B*(T-1), C]
  const tokens = assembleTokens(p, embedded, m.classToken, m.positions, { label: "clip.tokens" }); // [B*T, C]
  let x = layerNorm(p, tokens, m.preNorm.weight, m.preNorm.bias, { eps: c.eps, label: "clip.pre_norm" });
  const hidden = [x];
  for (const [i, weights] of m.blocks.entries()) {
    const attend = selfAttention(p, { batch: B, tokens: T, heads: c.heads, causal: false });
    x = block(p, x, weights, { ...c, label: `clip.h${i}` }, attend);
    hidden.push(x);
  }
  const first = gatherRows(p, x, { start: 0, stride: T, count: B, label: "clip.class_rows" }); // [B, C]
  const pooled = layerNorm(p, first, m.postNorm.weight, m.postNorm.bias, { eps: c.eps, label: "clip.post_norm" });
  return { hidden, pooled, embeds: linear(p, pooled, m.projection, { label: "clip.projection" }) };
}

export interface ClipText {
  readonly config: ClipTextConfig;
  /** [V, C] */
  readonly tokens: Tensor;
  /** [positions, C] */
  readonly positions: Tensor;
  readonly blocks: readonly BlockWeights[];
  readonly finalNorm: NormWeights;
  /** [E, C] */
  readonly projection: Tensor;
}

/** The text tower and its projection; Hugging Face names. */
export async function loadClipText(w: WeightLoader, c: ClipTextConfig): Promise<ClipText> {
  const base = "text_model";
  return {
    config: c,
    tokens: await w.matrix(`${base}.embeddings.token_embedding.weight`, [c.vocab, c.width]),
    positions: await w.vector(`${base}.embeddings.position_embedding.weight`, [c.positions, c.width]),
    blocks: await loadBlocks(w, base, c),
    finalNorm: await w.norm(`${base}.final_layer_norm`, c.width),
    projection: await w.matrix("text_projection.weight", [c.projection, c.width]),
  };
}

/**
 * ids u32 [B*T], lastRows u32 [B]: the row b*T + t of each text's end token (`endOfText`) -> text embeddings.
 * Causal, without a padding mask: what follows the end token cannot reach it. Also gives the normed states [B*T, C].
 */
export function clipText(
  p: Program,
  m: ClipText,
  ids: Tensor,
  lastRows: Tensor,
  { batch: B, tokens: T }: { batch: number; tokens: number },
): TowerOutput & { readonly normed: Tensor } {
  const { config: c } = m;
  const positions = { table: m.positions, start: 0, period: T };
  let x = embedding(p, ids, m.tokens, { positions, label: "clip_text.embedding" }); // [B*T, C]
  const hidden = [x];
  for (const [i, weights] of m.blocks.entries()) {
    const attend = selfAttention(p, { batch: B, tokens: T, heads: c.heads, causal: true });
    x = block(p, x, weights, { ...c, label: `clip_text.h${i}` }, attend);
    hidden.push(x);
  }
  const normed = layerNorm(p, x, m.finalNorm.weight, m.finalNorm.bias, { eps: c.eps, label: "clip_text.norm" });
  const pooled = gatherIndexed(p, normed, lastRows, { label: "clip_text.pooled" }); // [B, C]
  return { hidden, normed, pooled, embeds: linear(p, pooled, m.projection, { label: "clip_text.projection" }) };
}

/**
 * Where a text ends: its first end token; files with the historical eosId 2 mean the first largest id
 * (docs/facts.md 8).
 */
export function endOfText(ids: readonly number[], c: Pick<ClipTextConfig, "eosId">): number {
  const at = c.eosId === 2 ? -1 : ids.indexOf(c.eosId, 1);
  return at >= 0 ? at : ids.indexOf(Math.max(...ids));
}

async function loadBlocks(
  w: WeightLoader,
  base: string,
  { width: C, inner, layers }: { width: number; inner: number; layers: number },
): Promise<BlockWeights[]> {
  const blocks: BlockWeights[] = [];
  for (let i = 0; i < layers; i++) {
    const at = `${base}.encoder.layers.${i}`;
    blocks.push({
      norm1: await w.norm(`${at}.layer_norm1`, C),
      qkv: await w.linear(
        ["q", "k", "v"].map((n) => `${at}.self_attn.${n}_proj`),
        [3 * C, C],
      ),
      project: await w.linear(`${at}.self_attn.out_proj`, [C, C]),
      norm2: await w.norm(`${at}.layer_norm2`, C),
      fc1: await w.linear(`${at}.mlp.fc1`, [inner, C]),
      fc2: await w.linear(`${at}.mlp.fc2`, [C, inner]),
    });
  }
  return blocks;
}
