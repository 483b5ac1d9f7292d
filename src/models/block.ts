import { attention, packedQkv } from "../kernels/attention/attention.js";
import { type Dropout, dropout } from "../kernels/dropout/dropout.js";
import { layerNorm } from "../kernels/layernorm/layernorm.js";
import { linear } from "../kernels/matmul/matmul.js";
import type { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";
import type { Activation } from "../weights/config.js";
import type { LinearWeights, NormWeights } from "./weights.js";

/*
 * Axes, here and in all models:  B batch · T tokens · C channels of the residual stream · H heads · D = C/H ·
 * V vocabulary · K prefix length · E width of the embedding that CLIP's towers share · L clip length of the transformer
 * mapper. Sequences are stored as rows: [B*T, C]. Kernels whose letters differ, such as matmul's M, K, N, explain them.
 */

/** The pre-norm transformer block that CLIP's towers, GPT-2 and the transformer mapper share. */
export interface BlockWeights {
  readonly norm1: NormWeights;
  /** [3C, C]: q, then k, then v. */
  readonly qkv: LinearWeights;
  readonly project: LinearWeights;
  readonly norm2: NormWeights;
  readonly fc1: LinearWeights;
  readonly fc2: LinearWeights;
}

export interface BlockOptions {
  readonly activation: Activation;
  readonly eps: number;
  /** Of what each branch adds to the stream: the first at `site`, the second at `site` + 1. */
  readonly dropout?: Dropout;
  readonly label: string;
}

/** How a block's queries meet keys: [rows, 3C] -> [rows, C]. */
export type Attend = (qkv: Tensor, label: string) => Tensor;

/** x [rows, C] -> [rows, C]:  x += project(attend(norm1 x));  x += fc2(act(fc1(norm2 x))). */
export function block(p: Program, x: Tensor, w: BlockWeights, o: BlockOptions, attend: Attend): Tensor {
  const at = (name: string) => `${o.label}.${name}`;
  const normed = layerNorm(p, x, w.norm1.weight, w.norm1.bias, { eps: o.eps, label: at("norm1") });
  const qkv = linear(p, normed, w.qkv.weight, { bias: w.qkv.bias, label: at("qkv") });
  const mixed = attend(qkv, at("attention"));
  const y = branch(p, x, mixed, w.project, at("project"), o.dropout);
  const again = layerNorm(p, y, w.norm2.weight, w.norm2.bias, { eps: o.eps, label: at("norm2") });
  const h = linear(p, again, w.fc1.weight, { bias: w.fc1.bias, activation: o.activation, label: at("fc1") });
  return branch(p, y, h, w.fc2, at("fc2"), o.dropout && { ...o.dropout, site: o.dropout.site + 1 });
}

/** x + dropout(linear h). */
function branch(p: Program, x: Tensor, h: Tensor, w: LinearWeights, label: string, drop?: Dropout): Tensor {
  if (!drop || drop.rate === 0) return linear(p, h, w.weight, { bias: w.bias, residual: x, label });
  const added = linear(p, h, w.weight, { bias: w.bias, label });
  return dropout(p, added, { ...drop, residual: x, label: `${label}.dropout` });
}

/** Attention inside sequences of T tokens, all of them present. */
export function selfAttention(
  p: Program,
  o: { batch: number; tokens: number; heads: number; causal: boolean; dropout?: Dropout },
): Attend {
  return (qkv, label) => {
    const [q, k, v] = packedQkv(qkv, o.batch, o.tokens, o.heads);
    const headSize = qkv.shape[1]! / 3 / o.heads;
    return attention(p, q, k, v, { ...o, queries: o.tokens, keys: o.tokens, headSize, label });
  };
}
