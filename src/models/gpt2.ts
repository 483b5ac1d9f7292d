import { cachedAttention, type KvCache, storeKv } from "../kernels/attention/attention.js";
import { type Dropout, dropout } from "../kernels/dropout/dropout.js";
import { embedding } from "../kernels/embedding/embedding.js";
import { layerNorm } from "../kernels/layernorm/layernorm.js";
import { linear } from "../kernels/matmul/matmul.js";
import type { Program, Scalar } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Gpt2Config } from "../weights/config.js";
import { type Attend, type BlockWeights, block, selfAttention } from "./block.js";
import type { LinearWeights, NormWeights, WeightLoader } from "./weights.js";

export interface Gpt2 {
  readonly config: Gpt2Config;
  /** Token embedding [V, C], also the output projection. */
  readonly wte: Tensor;
  /** Position embedding [positions, C]. */
  readonly wpe: Tensor;
  readonly blocks: readonly BlockWeights[];
  readonly finalNorm: NormWeights;
}

/** Names without `transformer.`; Conv1D weights are [in, out] in the file (docs/facts.md 7). */
export async function loadGpt2(w: WeightLoader, c: Gpt2Config): Promise<Gpt2> {
  const { width: C, inner } = c;
  const conv = async (name: string, shape: readonly [number, number]): Promise<LinearWeights> => ({
    weight: await w.conv1d(`${name}.weight`, shape),
    bias: await w.vector(`${name}.bias`, [shape[0]]),
  });
  const wte = await w.matrix("wte.weight", [c.vocab, C]);
  const wpe = await w.vector("wpe.weight", [c.positions, C]);
  const blocks: BlockWeights[] = [];
  for (let i = 0; i < c.layers; i++) {
    blocks.push({
      norm1: await w.norm(`h.${i}.ln_1`, C),
      qkv: await conv(`h.${i}.attn.c_attn`, [3 * C, C]),
      project: await conv(`h.${i}.attn.c_proj`, [C, C]),
      norm2: await w.norm(`h.${i}.ln_2`, C),
      fc1: await conv(`h.${i}.mlp.c_fc`, [inner, C]),
      fc2: await conv(`h.${i}.mlp.c_proj`, [C, inner]),
    });
  }
  return { config: c, wte, wpe, blocks, finalNorm: await w.norm("ln_f", C) };
}

/** Dropout while GPT-2 learns, with a seed for each step. */
export type Gpt2Dropout = Omit<Dropout, "site">;

/** The sites of its dropouts, all different. */
const SITES = {
  input: 0,
  probabilities: (layer: number) => 3 * layer + 1,
  /** And the next. */
  branches: (layer: number) => 3 * layer + 2,
} as const;

/** x [rows, C] with positions added -> the residual stream after each block, the input first. */
function gpt2Blocks(p: Program, m: Gpt2, x: Tensor, attendIn: (layer: number) => Attend, drop?: Gpt2Dropout): Tensor[] {
  const hidden = [x];
  for (const [i, weights] of m.blocks.entries()) {
    const dropout = drop && { ...drop, site: SITES.branches(i) };
    hidden.push(block(p, hidden[i]!, weights, { ...m.config, dropout, label: `gpt2.h${i}` }, attendIn(i)));
  }
  return hidden;
}

/** Final norm and tied head: x [rows, C] -> logits [rows, V]. */
export function gpt2Logits(p: Program, m: Gpt2, x: Tensor): Tensor {
  return linear(p, gpt2FinalNorm(p, m, x), m.wte, { label: "gpt2.logits" });
}

/** The layer norm behind the last block: x [rows, C] -> [rows, C]. */
export function gpt2FinalNorm(p: Program, m: Gpt2, x: Tensor): Tensor {
  const { weight, bias } = m.finalNorm;
  return layerNorm(p, x, weight, bias, { eps: m.config.eps, label: "gpt2.ln_f" });
}

/**
 * Whole sequences x [B*T, C] (positions added), their keys and values stored from cache position 0 on in the rows
 * b*rowStride. Without caches it is a plain forward pass. Dropout, where given, is that of training: of x, of the
 * attention probabilities and of what each branch adds (embd, attn and resid_pdrop of the original).
 */
export function gpt2Prefill(
  p: Program,
  m: Gpt2,
  x: Tensor,
  o: { batch: number; tokens: number; caches?: readonly KvCache[]; rowStride?: number; dropout?: Gpt2Dropout },
): Tensor[] {
  const { batch, tokens } = o;
  const { width, heads } = m.config;
  const drop = o.dropout;
  const attendIn = (layer: number): Attend => {
    const dropout = drop && { ...drop, site: SITES.probabilities(layer) };
    const attend = selfAttention(p, { batch, tokens, heads, causal: true, dropout });
    return (qkv, label) => {
      const cache = o.caches?.[layer];
      if (cache)
        storeKv(p, qkv, cache, {
          batch,
          tokens,
          width,
          rowStride: o.rowStride ?? 1,
          start: 0,
          label: `${label}.store`,
        });
      return attend(qkv, label);
    };
  };
  const input = drop ? dropout(p, x, { ...drop, site: SITES.input, label: "gpt2.dropout" }) : x;
  return gpt2Blocks(p, m, input, attendIn, drop);
}

/** One new token per row: ids u32 [R], stored at cache `position` -> logits [R, V]. `keys` = position + 1. */
export function gpt2Decode(
  p: Program,
  m: Gpt2,
  ids: Tensor,
  caches: readonly KvCache[],
  ancestry: Tensor,
  { position, keys }: { position: Scalar; keys: Scalar },
): Tensor {
  const { width, heads } = m.config;
  const rows = ids.size;
  const positions = { table: m.wpe, start: position, period: 1 };
  const x = embedding(p, ids, m.wte, { positions, label: "gpt2.embedding" }); // [R, C]
  const hidden = gpt2Blocks(p, m, x, (layer) => (qkv, label) => {
    const cache = caches[layer]!;
    storeKv(p, qkv, cache, { batch: rows, tokens: 1, width, rowStride: 1, start: position, label: `${label}.store` });
    return cachedAttention(p, qkv, cache, ancestry, { rows, heads, headSize: width / heads, keys, label });
  });
  return gpt2Logits(p, m, hidden.at(-1)!);
}
