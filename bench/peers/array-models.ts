// The networks over whatever arrays a library has.
import type { ArrayLibrary, Named, Sequences } from "./arrays.js";
import { C, type CaptionStep, GPT2, H, MAPPER } from "./cases.js";

interface BlockOptions<A> extends Sequences {
  readonly activation: (x: A) => A;
  /** [tokens, tokens], added to the scores. */
  readonly mask?: A;
}

/** A pre-norm transformer block, its weights by GPT-2's names; x [batch * tokens, C]. */
export function block<A>(library: ArrayLibrary<A>, x: A, w: Named<A>, o: BlockOptions<A>): A {
  const { again, add, norm, attention } = library;
  const layer = (input: A, name: string) => linear(library, input, w, name);
  const qkv = layer(norm(again(x), w["ln_1.weight"]!, w["ln_1.bias"]!), "attn.c_attn");
  const y = add(x, layer(attention(qkv, o, o.mask), "attn.c_proj"));
  const h = o.activation(layer(norm(again(y), w["ln_2.weight"]!, w["ln_2.bias"]!), "mlp.c_fc"));
  return add(y, layer(h, "mlp.c_proj"));
}

function linear<A>({ add, matmul }: ArrayLibrary<A>, x: A, w: Named<A>, name: string): A {
  const y = matmul(x, w[`${name}.weight`]!);
  const bias = w[`${name}.bias`];
  return bias ? add(y, bias) : y;
}

/** Logits [B*T, V] of the captions' tokens, from clip [B, E]; weights and constants as in caption-weights.ts. */
export function captionLogits<A>(
  library: ArrayLibrary<A>,
  { images: B, tokens: T }: CaptionStep,
  clip: A,
  w: Named<A>,
  constants: Named<A>,
): A {
  const { again, add, matmul, relu, gelu, norm, reshape, broadcast, join, cut } = library;
  const { prefixLength: K, clipLength, heads } = MAPPER;
  const flat = (x: A, tokens: number) => reshape(x, [B * tokens, C]);
  const sequences = (x: A, tokens: number) => reshape(x, [B, tokens, C]);

  const spread = sequences(linear(library, clip, w, "linear"), clipLength);
  let tokens = clipLength + K;
  let x = flat(join(spread, broadcast(w.prefix_const!, [B, K, C])), tokens);
  for (let i = 0; i < MAPPER.layers; i++) {
    x = block(library, x, layerOf(w, i), { batch: B, tokens, heads, activation: relu });
  }
  const prefix = cut(sequences(x, tokens), clipLength, tokens);

  tokens = K + T;
  x = flat(add(join(prefix, constants.text!), constants.positions!), tokens);
  for (let i = 0; i < GPT2.layers; i++) {
    const mask = again(constants.mask!);
    x = block(library, x, layerOf(constants, i), { batch: B, tokens, heads: H, activation: gelu, mask });
  }
  const labelled = flat(cut(sequences(x, tokens), K - 1, tokens - 1), T);
  const states = norm(labelled, constants["ln_f.weight"]!, constants["ln_f.bias"]!);
  return join(matmul(again(states), constants["unembed.0"]!), matmul(states, constants["unembed.1"]!));
}

/** The weights of one block, by their names in it. */
function layerOf<A>(w: Named<A>, index: number): Named<A> {
  const start = `h.${index}.`;
  const entries = Object.entries(w).filter(([name]) => name.startsWith(start));
  return Object.fromEntries(entries.map(([name, a]) => [name.slice(start.length), a]));
}
