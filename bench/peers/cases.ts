import { MAPPER_HEADS, parseClipConfig, parseGpt2Config } from "../../src/weights/config.js";
import { clipVisionShapes, gpt2Shapes, mapperShapes } from "../../src/weights/shapes.js";
import { syntheticFile, syntheticInts, syntheticTensor } from "../../src/weights/synthetic.js";
import type { TensorFile } from "../../src/weights/tensor-file.js";

/** What every library computes, from the same numbers. Axis letters as in src/models/block.ts. */
export type Case =
  | { readonly type: "matmul"; readonly M: number; readonly K: number; readonly N: number }
  | { readonly type: "layernorm" | "softmax"; readonly rows: number; readonly columns: number }
  | { readonly type: "attention" | "block" | "block-step"; readonly T: number }
  /** GPT-2 small, or as many of its layers; one beam is greedy decoding. */
  | {
      readonly type: "decode";
      readonly layers: number;
      readonly beams: number;
      readonly prefix: number;
      readonly tokens: number;
    }
  | { readonly type: "encode" }
  | { readonly type: "mlp-step"; readonly rows: number; readonly width: number; readonly inner: number }
  /** The transformer mapper learns, GPT-2 small is frozen; each image has one caption of so many tokens. */
  | { readonly type: "caption-step"; readonly images: number; readonly tokens: number };

export type CaptionStep = Extract<Case, { type: "caption-step" }>;

export const SEED = 1;
export const GPT2 = parseGpt2Config({});
/** The original's, of ten vectors each way. */
export const MAPPER = {
  type: "transformer",
  prefixLength: 10,
  clipLength: 10,
  clipWidth: 512,
  gptWidth: GPT2.width,
  layers: 8,
  heads: MAPPER_HEADS,
} as const;
export const { vision: VISION } = parseClipConfig({ vision_config: {}, text_config: {} });
/** Channels and heads of GPT-2 small. */
export const { width: C, heads: H } = GPT2;
/** torch's defaults, without weight decay. */
export const ADAM = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
/** Steps whose losses are compared: from the second on they show what the update did. */
export const COMPARED_STEPS = 4;

const matmul = (M: number, K: number, N: number): Case => ({ type: "matmul", M, K, N });

export const CASES: readonly Case[] = [
  ...[50, 512].flatMap((M) => [matmul(M, 768, 768), matmul(M, 768, 3072), matmul(M, 3072, 768)]),
  { type: "layernorm", rows: 512, columns: 768 },
  { type: "softmax", rows: 600, columns: 50 },
  { type: "attention", T: 50 },
  { type: "block", T: 50 },
  { type: "encode" },
  ...[1, 5].map((beams): Case => ({ type: "decode", layers: GPT2.layers, beams, prefix: 10, tokens: 10 })),
  { type: "mlp-step", rows: 64, width: 768, inner: 1536 },
  { type: "block-step", T: 50 },
  { type: "caption-step", images: 8, tokens: 16 },
];

/** For Chromium, whose software adapter does 1 to 3 GFLOP/s. */
export const BROWSER_CASES: readonly Case[] = [
  matmul(50, 768, 768),
  { type: "layernorm", rows: 512, columns: 768 },
  { type: "softmax", rows: 600, columns: 50 },
  { type: "attention", T: 50 },
  { type: "block", T: 16 },
  ...[1, 5].map((beams): Case => ({ type: "decode", layers: 2, beams, prefix: 10, tokens: 5 })),
  { type: "mlp-step", rows: 16, width: 768, inner: 1536 },
  { type: "block-step", T: 16 },
];

export function shapeOf(c: Case): string {
  switch (c.type) {
    case "matmul":
      return `${c.M} x ${c.K} x ${c.N}`;
    case "layernorm":
    case "softmax":
      return `${c.rows} x ${c.columns}`;
    case "attention":
      return `T ${c.T}, ${H} heads of ${C / H}, causal`;
    case "block":
    case "block-step":
      return `GPT-2 small, batch 1, T ${c.T}`;
    case "encode":
      return "ViT-B/32, 1 image";
    case "decode": {
      const model = c.layers === GPT2.layers ? "GPT-2 small" : `${c.layers} layers of GPT-2 small`;
      return `${model}, ${c.beams > 1 ? `beam ${c.beams}` : "greedy"}, prefix ${c.prefix}, ${c.tokens} tokens`;
    }
    case "mlp-step":
      return `${c.rows} x ${c.width}-${c.inner}-${c.width}`;
    case "caption-step":
      return `${MAPPER.layers}-layer mapper, frozen GPT-2 small, batch ${c.images}, ${MAPPER.prefixLength} + ${c.tokens} tokens`;
  }
}

/** Operations of the matrix products of a call, two for a multiply-add; undefined where there are none. */
export function flopsOf(c: Case): number | undefined {
  const block = (T: number) => 24 * T * C * C + causalAttention(T);
  switch (c.type) {
    case "matmul":
      return 2 * c.M * c.K * c.N;
    case "attention":
      return causalAttention(c.T);
    case "block":
      return block(c.T);
    case "block-step":
      return 3 * block(c.T);
    case "mlp-step":
      return 10 * c.rows * c.width * c.inner; // five products: the gradient of the input is not wanted
    case "caption-step":
      return captionStepFlops(c.images, c.tokens);
    default:
      return undefined;
  }
}

/** Each token looks at those before it and at itself. */
function causalAttention(T: number): number {
  return 2 * T * (T + 1) * C;
}

/** What no library can leave out: logits computed again in the backward pass do not count, and frozen matrices get no gradient. */
function captionStepFlops(B: number, T: number): number {
  const { prefixLength: K, clipLength, clipWidth, layers } = MAPPER;
  const tokens = clipLength + K;
  const spread = 2 * B * clipWidth * clipLength * C;
  const mapperBlock = 16 * B * tokens * C * C + 4 * B * tokens * tokens * C; // q|k|v, project and two of twice the width
  const gpt2Block = 24 * B * (K + T) * C * C;
  const logits = 2 * B * T * C * GPT2.vocab;
  const mapper = 2 * spread + 3 * layers * mapperBlock; // nor is that of CLIP's embeddings
  return mapper + GPT2.layers * (2 * gpt2Block + 3 * B * causalAttention(K + T)) + 2 * logits;
}

export interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

function synthetic(name: string, shape: readonly number[], std: number, offset = 0): Values {
  return { shape, data: syntheticTensor(name, shape, SEED, std, offset) };
}

/** What a call is given, on the host. Of `attention` it is q|k|v in each row; of `decode` the prefix, without positions. */
export function inputOf(c: Case): Values {
  switch (c.type) {
    case "matmul":
      return synthetic("x", [c.M, c.K], 1);
    case "layernorm":
    case "softmax":
      return synthetic("x", [c.rows, c.columns], 1);
    case "attention":
      return synthetic("qkv", [c.T, 3 * C], 1);
    case "block":
    case "block-step":
      return synthetic("x", [c.T, C], 1);
    case "decode":
      return synthetic("prefix", [c.prefix, C], 0.3);
    case "encode":
      return synthetic("pixel_values", [1, 3, VISION.imageSize, VISION.imageSize], 1);
    case "mlp-step":
      return synthetic("x", [c.rows, c.width], 1);
    case "caption-step":
      return synthetic("clip", [c.images, MAPPER.clipWidth], 0.5);
  }
}

/** The weight [K, N]. */
export function matmulWeight({ K, N }: { readonly K: number; readonly N: number }): Values {
  return synthetic("w", [K, N], 0.02);
}

/** Scale and shift. */
export function normWeights(columns: number): readonly [Values, Values] {
  return [synthetic("ln.weight", [columns], 0.1, 1), synthetic("ln.bias", [columns], 0.01)];
}

/** Both weights of y = relu(x w1) w2, without biases: [width, inner] and [inner, width]. */
export function mlpWeights({ width, inner }: { readonly width: number; readonly inner: number }): [Values, Values] {
  return [synthetic("w1", [width, inner], 0.03), synthetic("w2", [inner, width], 0.03)];
}

/** Rows and classes of a training step's logits; the loss is their mean cross-entropy. */
function logitsShape(c: Case): readonly [rows: number, classes: number] {
  return c.type === "caption-step" ? [c.images * c.tokens, GPT2.vocab] : (inputOf(c).shape as [number, number]);
}

/** The class of each row of the logits; of `caption-step` they are the captions [images, tokens]. */
export function targetsOf(c: Case): Int32Array {
  const [rows, classes] = logitsShape(c);
  return syntheticInts("targets", [rows], 0, classes, SEED);
}

/** Row-wise one-hot targets, for libraries whose loss asks for them. */
export function oneHotTargets(c: Case): Values {
  const shape = logitsShape(c);
  const data = new Float32Array(shape[0] * shape[1]);
  for (const [row, target] of targetsOf(c).entries()) data[row * shape[1] + target] = 1;
  return { shape, data };
}

/** What a block adds to the scores [T, T]: 0 where the key is no later than the query, else so much that exp gives 0. */
export function causalMask(T: number): Values {
  const data = Float32Array.from({ length: T * T }, (_, i) => (i % T > Math.floor(i / T) ? -1e9 : 0));
  return { shape: [T, T], data };
}

/** GPT-2 small; a model of fewer layers reads less of it. */
export const gpt2File = syntheticFile(gpt2Shapes(GPT2), "full", SEED);
export const visionFile = syntheticFile(clipVisionShapes(VISION), "full", SEED);
export const mapperFile = syntheticFile(mapperShapes(MAPPER), "full", SEED);

/** The first block's parameters in the order of the file, by their names without "h.0."; matrices are [in, out]. */
export const BLOCK_NAMES: readonly string[] = [...gpt2File.tensors.keys()]
  .filter((name) => name.startsWith("h.0."))
  .map((name) => name.slice(4));

export async function blockWeights(): Promise<ReadonlyMap<string, Values>> {
  const entries = BLOCK_NAMES.map(async (name) => [name, await valuesOf(gpt2File, `h.0.${name}`)] as const);
  return new Map(await Promise.all(entries));
}

export async function valuesOf(file: TensorFile, name: string): Promise<Values> {
  const { shape } = file.tensors.get(name)!;
  return { shape, data: (await file.readF32(name)) as Float32Array<ArrayBuffer> };
}

/** A matrix with its rows as columns: the models keep [out, in], libraries of arrays multiply by [in, out]. */
export function transposed({ shape, data }: Values): Values {
  const [rows, columns] = shape as [number, number];
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) {
    for (let column = 0; column < columns; column++) out[column * rows + r] = data[r * columns + column]!;
  }
  return { shape: [columns, rows], data: out };
}
