// Names and shapes of every tensor of the models, in the names of the Hugging Face and the original ClipCap files.
import type { ClipTextConfig, ClipVisionConfig, Gpt2Config, MapperConfig } from "./config.js";

/** Tensor name -> shape. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

type ShapeList = [name: string, shape: readonly number[]][];

/** A linear layer or layer norm with bias: `size` is the bias. */
function withBias(base: string, weight: readonly number[], size: number): ShapeList {
  return [
    [`${base}.weight`, weight],
    [`${base}.bias`, [size]],
  ];
}
const norm = (base: string, width: number): ShapeList => withBias(base, [width], width);
/** torch.nn.Linear: weight [out, in]. */
const linear = (base: string, inputs: number, outputs: number) => withBias(base, [outputs, inputs], outputs);
/** Conv1D of GPT-2: weight [in, out]. */
const conv1d = (base: string, inputs: number, outputs: number) => withBias(base, [inputs, outputs], outputs);

const repeat = (count: number, layer: (index: number) => ShapeList): ShapeList =>
  Array.from({ length: count }, (_, index) => layer(index)).flat();

/** The encoder layers that both towers of CLIP share. */
function clipLayers(
  tower: string,
  { layers, width, inner }: { layers: number; width: number; inner: number },
): ShapeList {
  return repeat(layers, (i) => {
    const base = `${tower}.encoder.layers.${i}`;
    return [
      ...["k_proj", "v_proj", "q_proj", "out_proj"].flatMap((name) =>
        linear(`${base}.self_attn.${name}`, width, width),
      ),
      ...norm(`${base}.layer_norm1`, width),
      ...linear(`${base}.mlp.fc1`, width, inner),
      ...linear(`${base}.mlp.fc2`, inner, width),
      ...norm(`${base}.layer_norm2`, width),
    ];
  });
}

/** CLIP's vision tower and its projection to `projection` values. */
export function clipVisionShapes(c: ClipVisionConfig): Shapes {
  const tower = "vision_model";
  return new Map([
    [`${tower}.embeddings.class_embedding`, [c.width]],
    [`${tower}.embeddings.patch_embedding.weight`, [c.width, 3, c.patchSize, c.patchSize]],
    [`${tower}.embeddings.position_embedding.weight`, [(c.imageSize / c.patchSize) ** 2 + 1, c.width]],
    ...norm(`${tower}.pre_layrnorm`, c.width),
    ...clipLayers(tower, c),
    ...norm(`${tower}.post_layernorm`, c.width),
    ["visual_projection.weight", [c.projection, c.width]],
  ] satisfies ShapeList);
}

/** CLIP's text tower, its projection and the logit scale. */
export function clipTextShapes(c: ClipTextConfig): Shapes {
  const tower = "text_model";
  return new Map([
    [`${tower}.embeddings.token_embedding.weight`, [c.vocab, c.width]],
    [`${tower}.embeddings.position_embedding.weight`, [c.positions, c.width]],
    ...clipLayers(tower, c),
    ...norm(`${tower}.final_layer_norm`, c.width),
    ["text_projection.weight", [c.projection, c.width]],
    ["logit_scale", []],
  ] satisfies ShapeList);
}

/** GPT-2; `prefix` is "gpt.transformer." in ClipCap checkpoints. The output layer is tied to wte. */
export function gpt2Shapes(c: Gpt2Config, prefix = ""): Shapes {
  const w = c.width;
  return new Map([
    [`${prefix}wte.weight`, [c.vocab, w]],
    [`${prefix}wpe.weight`, [c.positions, w]],
    ...repeat(c.layers, (i) => {
      const base = `${prefix}h.${i}`;
      return [
        ...norm(`${base}.ln_1`, w),
        ...conv1d(`${base}.attn.c_attn`, w, 3 * w),
        ...conv1d(`${base}.attn.c_proj`, w, w),
        ...norm(`${base}.ln_2`, w),
        ...conv1d(`${base}.mlp.c_fc`, w, c.inner),
        ...conv1d(`${base}.mlp.c_proj`, c.inner, w),
      ];
    }),
    ...norm(`${prefix}ln_f`, w),
  ] satisfies ShapeList);
}

/** Either mapper, in the names of the original checkpoints. */
export function mapperShapes(c: MapperConfig): Shapes {
  const base = "clip_project";
  const { gptWidth: w, clipWidth, prefixLength } = c;
  if (c.type === "mlp") {
    const inner = Math.floor((w * prefixLength) / 2);
    return new Map([
      ...linear(`${base}.model.0`, clipWidth, inner),
      ...linear(`${base}.model.2`, inner, w * prefixLength),
    ] satisfies ShapeList);
  }
  return new Map([
    [`${base}.prefix_const`, [prefixLength, w]],
    ...repeat(c.layers, (i) => {
      const layer = `${base}.transformer.layers.${i}`;
      return [
        ...norm(`${layer}.norm1`, w),
        [`${layer}.attn.to_queries.weight`, [w, w]],
        [`${layer}.attn.to_keys_values.weight`, [2 * w, w]],
        ...linear(`${layer}.attn.project`, w, w),
        ...norm(`${layer}.norm2`, w),
        ...linear(`${layer}.mlp.fc1`, w, 2 * w),
        ...linear(`${layer}.mlp.fc2`, 2 * w, w),
      ] satisfies ShapeList;
    }),
    ...linear(`${base}.linear`, clipWidth, c.clipLength * w),
  ] satisfies ShapeList);
}
