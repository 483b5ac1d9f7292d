// The cases as ONNX graphs, of the operators that exporters write; what can be fused is the runtime's to find.
import type { TensorFile } from "../../../src/weights/tensor-file.js";
import {
  C,
  type Case,
  causalMask,
  GPT2,
  gpt2File,
  H,
  inputOf,
  matmulWeight,
  normWeights,
  VISION,
  visionFile,
} from "../cases.js";
import { Graph } from "./graph.js";
import type { TensorData } from "./protobuf.js";

const D = C / H;

type Inference = Exclude<Case, { type: "mlp-step" | "block-step" | "caption-step" }>;

/** The graph of a case without training: input `x`, output `y`; of `decode`, see `decoder`. */
export async function onnxModel(c: Inference): Promise<Uint8Array> {
  if (c.type === "decode") return decoder(c);
  const g = new Graph();
  const x = g.input("x", inputOf(c).shape);
  switch (c.type) {
    case "matmul":
      g.output("y", g.op("MatMul", [x, g.constant(matmulWeight(c))]), [c.M, c.N]);
      break;
    case "layernorm":
      g.output("y", norm(g, x, normWeights(c.columns), GPT2.eps), [c.rows, c.columns]);
      break;
    case "softmax":
      g.output("y", g.op("Softmax", [x], { axis: -1 }), [c.rows, c.columns]);
      break;
    case "attention":
      g.output("y", selfAttention(g, c.T)(batchOfOne(g, x)), [1, c.T, C]);
      break;
    case "block":
      g.output("y", await gpt2Block(g, batchOfOne(g, x), 0, selfAttention(g, c.T)), [1, c.T, C]);
      break;
    case "encode":
      g.output("y", await visionTower(g, x), [1, VISION.projection]);
  }
  return g.bytes();
}

function batchOfOne(g: Graph, x: string): string {
  return g.op("Unsqueeze", [x, g.ints(0)]);
}

/** q|k|v [B, T, 3C] -> [B, T, C], causal. */
function selfAttention(g: Graph, T: number): (qkv: string) => string {
  return (qkv) => attention(g, heads(g, g.split3(qkv, 3)), g.constant(causalMask(T)));
}

/**
 * One step of GPT-2 over T tokens of B beams, `x` [B, T, C] (positions added), after P cached ones. For each layer i it gives
 * k{i} and v{i} [B, H, P+T, D], from p{i}.k and p{i}.v [R, H, P, D]: of the R beams before, `source` [B] names the one that
 * each continues. `mask` [T, P+T] is added to the scores. Greedy: `tokens` [1, 1], the likeliest, and no `source`. Else
 * `tokens` and `logprobs` [B, beams], the likeliest of each beam.
 */
async function decoder({ layers, beams }: Extract<Case, { type: "decode" }>): Promise<Uint8Array> {
  const g = new Graph();
  let x = g.input("x", ["B", "T", C]);
  const mask = g.input("mask", ["T", "keys"]);
  const source = beams > 1 ? g.input("source", ["B"], "i64") : undefined;
  for (let layer = 0; layer < layers; layer++) {
    const attend = (qkv: string) => {
      const [q, k, v] = heads(g, g.split3(qkv, 3));
      const [keys, values] = [["k", k] as const, ["v", v] as const].map(([name, now]) => {
        const cached = g.input(`p${layer}.${name}`, ["R", H, "P", D]);
        const past = source ? g.op("Gather", [cached, source], { axis: 0 }) : cached;
        const all = g.op("Concat", [past, now], { axis: 2 });
        g.output(`${name}${layer}`, all, ["B", H, "keys", D]);
        return all;
      });
      return attention(g, [q, keys!, values!], mask);
    };
    x = await gpt2Block(g, x, layer, attend);
  }
  const last = g.op("Gather", [x, g.scalarInt(-1)], { axis: 1 }); // [B, C]
  const normed = norm(g, last, [await read(gpt2File, "ln_f.weight"), await read(gpt2File, "ln_f.bias")], GPT2.eps);
  const wte = g.constant(await read(gpt2File, "wte.weight"));
  const logits = g.op("Gemm", [normed, wte], { transB: 1 }); // [B, V]; MatMul took 1.3 times the whole step
  if (beams === 1) {
    g.output("tokens", g.op("ArgMax", [logits], { axis: 1 }), ["B", 1], "i64");
  } else {
    const [logprobs, tokens] = g.topK(g.op("LogSoftmax", [logits], { axis: -1 }), beams);
    g.output("logprobs", logprobs, ["B", beams]);
    g.output("tokens", tokens, ["B", beams], "i64");
  }
  return g.bytes();
}

/** GPT-2's matrices are [in, out]. */
async function gpt2Block(g: Graph, x: string, layer: number, attend: (qkv: string) => string): Promise<string> {
  const get = (name: string) => read(gpt2File, `h.${layer}.${name}`);
  const linear = async (input: string, name: string) =>
    affine(g, input, await get(`${name}.weight`), await get(`${name}.bias`));
  const normed = norm(g, x, [await get("ln_1.weight"), await get("ln_1.bias")], GPT2.eps);
  const mixed = attend(await linear(normed, "attn.c_attn"));
  const y = g.op("Add", [await linear(mixed, "attn.c_proj"), x]);
  const again = norm(g, y, [await get("ln_2.weight"), await get("ln_2.bias")], GPT2.eps);
  const h = g.op("Gelu", [await linear(again, "mlp.c_fc")], { approximate: "tanh" });
  return g.op("Add", [await linear(h, "mlp.c_proj"), y]);
}

/** pixels [1, 3, S, S] -> [1, E]. */
async function visionTower(g: Graph, pixels: string): Promise<string> {
  const { width, layers, patchSize: P, eps } = VISION;
  const get = (name: string) => read(visionFile, name);
  const pair = async (name: string) => [await get(`${name}.weight`), await get(`${name}.bias`)] as const;
  const embeddings = "vision_model.embeddings";
  const kernel = g.constant(await get(`${embeddings}.patch_embedding.weight`));
  const patches = g.op("Conv", [pixels, kernel], { kernel_shape: [P, P], strides: [P, P] }); // [1, C, S/P, S/P]
  const rows = g.op("Transpose", [g.op("Reshape", [patches, g.ints(1, width, -1)])], { perm: [0, 2, 1] });
  const classToken = await get(`${embeddings}.class_embedding`);
  const first = g.constant({ ...classToken, shape: [1, 1, width] });
  const tokens = g.op("Concat", [first, rows], { axis: 1 }); // [1, T, C]
  const placed = g.op("Add", [tokens, g.constant(await get(`${embeddings}.position_embedding.weight`))]);
  let x = norm(g, placed, await pair("vision_model.pre_layrnorm"), eps);
  for (let layer = 0; layer < layers; layer++) x = await visionBlock(g, x, layer);
  const pooled = norm(
    g,
    g.op("Gather", [x, g.scalarInt(0)], { axis: 1 }),
    await pair("vision_model.post_layernorm"),
    eps,
  );
  return g.op("MatMul", [pooled, g.constant(transposed(await get("visual_projection.weight")))]);
}

/** CLIP's matrices are [out, in]. */
async function visionBlock(g: Graph, x: string, layer: number): Promise<string> {
  const get = (name: string) => read(visionFile, `vision_model.encoder.layers.${layer}.${name}`);
  const linear = async (input: string, name: string) =>
    affine(g, input, transposed(await get(`${name}.weight`)), await get(`${name}.bias`));
  const normed = norm(g, x, [await get("layer_norm1.weight"), await get("layer_norm1.bias")], VISION.eps);
  const projected = ["q", "k", "v"].map((name) => linear(normed, `self_attn.${name}_proj`));
  const mixed = attention(g, heads(g, (await Promise.all(projected)) as [string, string, string]));
  const y = g.op("Add", [await linear(mixed, "self_attn.out_proj"), x]);
  const again = norm(g, y, [await get("layer_norm2.weight"), await get("layer_norm2.bias")], VISION.eps);
  const h = await linear(again, "mlp.fc1");
  const quickGelu = g.op("Mul", [h, g.op("Sigmoid", [g.op("Mul", [h, g.scalar(1.702)])])]);
  return g.op("Add", [await linear(quickGelu, "mlp.fc2"), y]);
}

function norm(g: Graph, x: string, [scale, shift]: readonly [TensorData, TensorData], eps: number): string {
  return g.op("LayerNormalization", [x, g.constant(scale), g.constant(shift)], { axis: -1, epsilon: { float: eps } });
}

function affine(g: Graph, x: string, weight: TensorData, bias: TensorData): string {
  return g.op("Add", [g.op("MatMul", [x, g.constant(weight)]), g.constant(bias)]);
}

/** q, k and v [B, T, C] -> [B, H, T, D] each. */
function heads(g: Graph, parts: readonly [string, string, string]): [string, string, string] {
  const shape = g.ints(0, 0, H, D); // 0: as it is
  const one = (x: string) => g.op("Transpose", [g.op("Reshape", [x, shape])], { perm: [0, 2, 1, 3] });
  return [one(parts[0]), one(parts[1]), one(parts[2])];
}

/** q, k, v [B, H, T, D] -> [B, T, C]; `mask` is added to the scores. */
function attention(g: Graph, [q, k, v]: readonly [string, string, string], mask?: string): string {
  const product = g.op("MatMul", [q, g.op("Transpose", [k], { perm: [0, 1, 3, 2] })]);
  const scores = g.op("Mul", [product, g.scalar(1 / Math.sqrt(D))]);
  const masked = mask ? g.op("Add", [scores, mask]) : scores;
  const mixed = g.op("MatMul", [g.op("Softmax", [masked], { axis: -1 }), v]);
  return g.op("Reshape", [g.op("Transpose", [mixed], { perm: [0, 2, 1, 3] }), g.ints(0, 0, C)]);
}

async function read(file: TensorFile, name: string): Promise<TensorData> {
  return { shape: file.tensors.get(name)!.shape, data: await file.readF32(name) };
}

function transposed({ shape, data }: TensorData): TensorData {
  const [rows, columns] = shape as [number, number];
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c] as number;
  }
  return { shape: [columns, rows], data: out };
}
