import type { Tokenizer } from "../data/tokenizer.js";
import { embedding } from "../kernels/embedding/embedding.js";
import { l2Normalize } from "../kernels/l2norm/l2norm.js";
import { linear } from "../kernels/matmul/matmul.js";
import { addPositions, concatRows, gatherRows } from "../kernels/rows/rows.js";
import type { Device } from "../runtime/device.js";
import { type Dispatch, flopsOf, Program } from "../runtime/program.js";
import { type Tensor, whole } from "../runtime/tensor.js";
import { clipVision } from "./clip.js";
import type { Networks } from "./clipcap.js";
import { Generator, type GeneratorShape, type StepBeams } from "./generate.js";
import { gpt2Logits, gpt2Prefill } from "./gpt2.js";
import { prefixOf } from "./mapper.js";

/** One attention of a sequence of T tokens, as the GPU computed it. */
export interface SeenAttention {
  readonly heads: number;
  readonly tokens: number;
  readonly causal: boolean;
  /** [T, 3C]: the queries, keys and values that the kernel read. */
  readonly qkv: Float32Array;
  /** [T, C]: what it wrote, softmax(q k^T / sqrt(D)) v for each head. */
  readonly out: Float32Array;
}

/** One dispatch of the program: what it computed, by which kernel, the shape of what it wrote. */
export interface SeenStep {
  readonly label: string;
  readonly kernel: string;
  readonly shape: readonly number[];
  readonly flops: number;
}

/** What one caption of n tokens looked like from the inside. All values were read back from one run. */
export interface Inspection {
  readonly steps: readonly SeenStep[];
  /** Of CLIP's vision tower, by layer. Token 0 is the class token, the others are the patches, row by row. */
  readonly vision: readonly SeenAttention[];
  /** Of GPT-2, by layer. Tokens: K prefix vectors, then all tokens of the caption but the last. */
  readonly language: readonly SeenAttention[];
  /** [K, C] */
  readonly prefix: Float32Array;
  /** [n - 1, C]: GPT-2's vectors of the tokens of the caption but the last, without positions. */
  readonly words: Float32Array;
  /** [n, V]: row i is what token i was chosen from. */
  readonly logits: Float32Array;
}

/**
 * Runs a picture and its caption through all networks at once, without caches, and reads back what happened on the way.
 * @param pixels preprocessed, [3, S, S]
 * @param tokens of the caption, at least one; prefix and tokens together must not exceed GPT-2's positions
 */
export async function inspectCaption(
  device: Device,
  networks: Networks,
  pixels: Float32Array,
  tokens: readonly number[],
): Promise<Inspection> {
  const { vision, gpt2, mapper } = networks;
  const { prefixLength: K } = mapper.config;
  const p = new Program(device, "inspect", { gradients: false });
  try {
    const input = pixelInput(p, networks);
    const prefix = prefixOf(p, networks, clipVision(p, vision, input).embeds);
    const given = tokens.slice(0, -1);
    const T = K + given.length;
    const ids = p.persistent("ids", [Math.max(1, given.length)], "u32");
    const words = embedding(p, ids, gpt2.wte, { label: "gpt2.words" }); // [n - 1, C]
    const x = given.length === 0 ? prefix : concatRows(p, prefix, words, { batch: 1, label: "gpt2.input" });
    const placed = addPositions(p, x, gpt2.wpe, { start: 0, period: T, label: "gpt2.positions" }); // [T, C]
    const hidden = gpt2Prefill(p, gpt2, placed, { batch: 1, tokens: T }).at(-1)!;
    const choosing = gatherRows(p, hidden, { start: K - 1, stride: 1, count: tokens.length, label: "gpt2.choosing" });
    const logits = gpt2Logits(p, gpt2, choosing); // [n, V]

    const eyes = attentions(p, "clip.");
    const voice = attentions(p, "gpt2.");
    const reads = [prefix, words, logits, ...[...eyes, ...voice].flatMap(({ qkv, out }) => [qkv, out])];
    p.keep(...reads);
    await p.compile();
    device.write(input, pixels);
    device.write(ids, Uint32Array.from(given));
    const values = (await p.run({}, reads).get()) as Float32Array[];
    const seen = (i: number, heads: number, tokens: number, causal: boolean): SeenAttention => {
      return { heads, tokens, causal, qkv: values[3 + 2 * i]!, out: values[4 + 2 * i]! };
    };
    return {
      steps: p.dispatches.map(seenStep),
      vision: eyes.map((_, i) => seen(i, vision.config.heads, vision.positions.rows, false)),
      language: voice.map((_, i) => seen(eyes.length + i, gpt2.config.heads, T, true)),
      prefix: values[0]!,
      words: values[1]!.subarray(0, given.length * gpt2.config.width),
      logits: values[2]!,
    };
  } finally {
    p.destroy();
  }
}

/** A caption and what CLIP saw in its picture. */
export interface EmbeddedCaption {
  /** [projection] */
  readonly embedding: Float32Array;
  readonly tokens: readonly number[];
}

/** Captions whose attention is read back at once: 16 of 30 tokens are 53 MB of queries, keys and values of GPT-2 small. */
const ATTENDING = 16;

/**
 * What each token of captions attended to when it was chosen, by caption and token: mean shares, over GPT-2's layers and
 * heads, of the K prefix vectors and of the tokens before.
 */
export async function captionAttention(
  device: Device,
  networks: Networks,
  captions: readonly EmbeddedCaption[],
): Promise<Float64Array[][]> {
  const found: Float64Array[][] = [];
  for (let i = 0; i < captions.length; i += ATTENDING) {
    found.push(...(await attendTogether(device, networks, captions.slice(i, i + ATTENDING))));
  }
  return found;
}

async function attendTogether(
  device: Device,
  networks: Networks,
  captions: readonly EmbeddedCaption[],
): Promise<Float64Array[][]> {
  const { gpt2, mapper, vision } = networks;
  const { prefixLength: K } = mapper.config;
  const { width: C, heads } = gpt2.config;
  const B = captions.length;
  // All but the last token are given. Shorter captions are filled up; nothing attends to what comes after it.
  const given = Math.max(1, ...captions.map(({ tokens }) => tokens.length - 1));
  const T = K + given;
  const p = new Program(device, "attention", { gradients: false });
  try {
    const embeds = p.persistent("embeds", [B, vision.config.projection]);
    const ids = p.persistent("ids", [B * given], "u32");
    const words = embedding(p, ids, gpt2.wte, { label: "gpt2.words" });
    const x = concatRows(p, prefixOf(p, networks, embeds), words, { batch: B, label: "gpt2.input" }); // [B*T, C]
    const placed = addPositions(p, x, gpt2.wpe, { start: 0, period: T, label: "gpt2.positions" });
    gpt2Prefill(p, gpt2, placed, { batch: B, tokens: T });
    const layers = attentions(p, "gpt2.").map(({ qkv }) => qkv); // [B*T, 3C]
    p.keep(...layers);
    await p.compile();
    for (const [b, { embedding, tokens }] of captions.entries()) {
      device.write(embeds, embedding, b);
      if (tokens.length > 1) device.write(ids, Uint32Array.from(tokens.slice(0, -1)), b * given);
    }
    const values = (await p.run({}, layers).get()) as Float32Array[];
    return captions.map(({ tokens }, b) => {
      const own = values.map((qkv) => qkv.subarray(b * T * 3 * C, (b + 1) * T * 3 * C));
      return tokens.map((_, i) => {
        const seen = own.flatMap((qkv) => attentionOf({ heads, tokens: T, causal: true, qkv }, K - 1 + i));
        return Float64Array.from({ length: K + i }, (_, t) => seen.reduce((sum, a) => sum + a[t]!, 0) / seen.length);
      });
    });
  } finally {
    p.destroy();
  }
}

function pixelInput(p: Program, { vision }: Networks): Tensor {
  const { imageSize: S } = vision.config;
  return p.persistent("pixels", [1, 3, S, S]);
}

/** A token as GPT-2 has it, with its space. Tables of embeddings may have rows that no token of the tokenizer names. */
export function tokenText(tokenizer: Tokenizer, token: number): string {
  return token < tokenizer.vocabSize ? tokenizer.decode([token]) : `#${token}`;
}

/** The attentions recorded under labels that begin like this, in their order. */
function attentions(p: Program, network: string): { readonly qkv: Tensor; readonly out: Tensor }[] {
  return p.dispatches
    .filter(({ label }) => label.startsWith(network) && label.endsWith(".attention"))
    .map(({ tensors }) => ({ qkv: whole(tensors.q!), out: whole(tensors.out!) }));
}

function seenStep(dispatch: Dispatch): SeenStep {
  const { label, kernel, tensors } = dispatch;
  const written = kernel.bindings.find(({ access }) => access === "read_write")!;
  return { label, kernel: kernel.name, shape: whole(tensors[written.name]!).shape, flops: flopsOf(dispatch) };
}

/**
 * How one token distributes its attention: softmax(q k^T / sqrt(D)) in f64 for each head, [H][T]. The kernel computes the
 * same in f32 but never stores it.
 */
export function attentionOf(
  { heads: H, tokens: T, causal, qkv }: Omit<SeenAttention, "out">,
  query: number,
): Float64Array[] {
  const C = qkv.length / T / 3;
  const D = C / H;
  return Array.from({ length: H }, (_, h) => {
    const q = qkv.subarray(query * 3 * C + h * D, query * 3 * C + (h + 1) * D);
    const scores = Float64Array.from({ length: T }, (_, t) => {
      if (causal && t > query) return Number.NEGATIVE_INFINITY;
      const key = t * 3 * C + C + h * D;
      return q.reduce((sum, value, d) => sum + value * qkv[key + d]!, 0) / Math.sqrt(D);
    });
    return softmax(scores);
  });
}

/** In f64. */
export function softmax(scores: ArrayLike<number>): Float64Array {
  const weights = Float64Array.from(scores);
  const largest = weights.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += weights[i] = Math.exp(weights[i]! - largest);
  return weights.map((weight) => weight / sum);
}

/** A token and a number by which it was chosen among others. */
export interface Ranked {
  readonly token: number;
  readonly value: number;
}

/** The `count` largest values by token, the lowest token first where several are equal. */
export function largest(values: ArrayLike<number>, count: number): Ranked[] {
  const best: Ranked[] = [];
  for (let token = 0; token < values.length; token++) {
    const value = values[token]!;
    if (best.length === count && value <= best[count - 1]!.value) continue;
    if (best.length === count) best.pop();
    const behind = best.findIndex((one) => one.value < value);
    best.splice(behind === -1 ? best.length : behind, 0, { token, value });
  }
  return best;
}

/** Rows of the vocabulary that are compared at once: 12.6 MB for GPT-2 small. */
const VOCABULARY_CHUNK = 4096;

/** For each of the vectors [rows, C] the tokens whose embeddings point most nearly its way, by cosine. */
export async function nearestTokens(
  device: Device,
  { gpt2 }: Networks,
  vectors: Float32Array,
  count: number,
): Promise<Ranked[][]> {
  const { vocab: V, width: C } = gpt2.config;
  const rows = vectors.length / C;
  const p = new Program(device, "nearest", { gradients: false });
  try {
    const input = p.persistent("vectors", [rows, C]);
    const ids = p.persistent("ids", [VOCABULARY_CHUNK], "u32");
    const words = embedding(p, ids, gpt2.wte, { label: "nearest.words" });
    const directions = l2Normalize(p, words, { label: "nearest.directions" }); // [chunk, C]
    const cosines = linear(p, l2Normalize(p, input, { label: "nearest.vectors" }), directions, {
      label: "nearest.cosines",
    }); // [rows, chunk]
    p.keep(cosines);
    await p.compile();
    device.write(input, vectors);
    const all = Array.from({ length: rows }, () => new Float32Array(V));
    for (let first = 0; first < V; first += VOCABULARY_CHUNK) {
      device.write(
        ids,
        Uint32Array.from({ length: VOCABULARY_CHUNK }, (_, i) => first + i),
      );
      const found = await p.run({}, [cosines]).f32();
      const known = Math.min(VOCABULARY_CHUNK, V - first);
      for (const [r, row] of all.entries()) {
        row.set(found.subarray(r * VOCABULARY_CHUNK, r * VOCABULARY_CHUNK + known), first);
      }
    }
    return all.map((row) => largest(row, count));
  } finally {
    p.destroy();
  }
}

/** The beams of one picture after every step of the search, as the GPU had them. */
export async function traceBeams(
  device: Device,
  networks: Networks,
  pixels: Float32Array,
  shape: Omit<GeneratorShape, "images">,
): Promise<StepBeams[]> {
  const { prefixLength } = networks.mapper.config;
  let input!: Tensor;
  const generator = await Generator.create(device, networks.gpt2, prefixLength, { ...shape, images: 1 }, (p) => {
    input = pixelInput(p, networks);
    return prefixOf(p, networks, clipVision(p, networks.vision, input).embeds);
  });
  try {
    device.write(input, pixels);
    const steps: StepBeams[] = [];
    await generator.run({ seed: 0, onBeams: (beams) => steps.push(beams) });
    return steps;
  } finally {
    generator.destroy();
  }
}
