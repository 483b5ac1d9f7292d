// ONNX Runtime, for Node and for browsers: one interface.
import type { InferenceSession, Tensor } from "onnxruntime-common";
import { C, type Case, causalMask, gpt2File, H, inputOf, type Values } from "./cases.js";
import type { Library, Prepared } from "./library.js";
import { onnxModel } from "./onnx/models.js";

export interface Runtime {
  readonly InferenceSession: typeof InferenceSession;
  readonly Tensor: typeof Tensor;
}

export interface Settings {
  readonly name: string;
  /** Its execution provider. */
  readonly provider: "cpu" | "wasm" | "webgpu";
  /** Where the caches of decoding stay between steps: onnxruntime-node has no binding to device memory. */
  readonly caches: "cpu" | "gpu-buffer";
}

type Decode = Extract<Case, { type: "decode" }>;

export function open(runtime: Runtime, settings: Settings): Library {
  return { name: settings.name, prepare: (c) => prepare(runtime, settings, c) };
}

async function prepare(runtime: Runtime, { provider, caches }: Settings, c: Case): Promise<Prepared> {
  if (c.type === "mlp-step" || c.type === "block-step" || c.type === "caption-step")
    throw new Error("ONNX Runtime's packages for JavaScript do not train");
  const cached = c.type === "decode" ? cacheNames(c.layers).map(({ out }) => [out, caches]) : [];
  const session = await runtime.InferenceSession.create(await onnxModel(c), {
    executionProviders: [provider],
    logSeverityLevel: 3, // warnings name nodes that stay on the CPU, which shape arithmetic always does
    preferredOutputLocation: Object.fromEntries(cached),
  });
  const close = () => session.release();
  if (c.type === "decode") return { call: await decoder(runtime, session, c), close };
  const { shape, data } = inputOf(c);
  const call = async () => {
    const { y } = await session.run({ x: new runtime.Tensor("float32", data, shape) });
    return y!.data as Float32Array;
  };
  return { call, close };
}

interface Beam {
  /** The beam of the step before that it continues. */
  readonly source: number;
  readonly tokens: readonly number[];
  /** Sum of their log-probabilities. */
  readonly score: number;
}

/** Greedy, or beam search as in the original; the graph's `decoder` says what a step takes and gives. */
async function decoder({ Tensor }: Runtime, session: InferenceSession, c: Decode): Promise<Prepared["call"]> {
  const f32 = ({ data, shape }: Values) => new Tensor("float32", data, shape);
  const [wte, wpe] = [await gpt2File.readF32("wte.weight"), await gpt2File.readF32("wpe.weight")];
  const place = (row: Float32Array, position: number) => row.map((v, i) => v + wpe[position * C + i]!);
  const prefix = inputOf(c).data;
  const first = rows(Array.from({ length: c.prefix }, (_, t) => place(prefix.subarray(t * C, (t + 1) * C), t)));
  return async () => {
    let caches: Record<string, Tensor> = Object.fromEntries(
      cacheNames(c.layers).map(({ past }) => [past, f32({ shape: [1, H, 0, C / H], data: new Float32Array() })]),
    );
    let beams: readonly Beam[] = [{ source: 0, tokens: [], score: 0 }];
    let x: Values = { shape: [1, c.prefix, C], data: first };
    let mask = causalMask(c.prefix);
    for (let position = c.prefix; ; position++) {
      const sources = BigInt64Array.from(beams, ({ source }) => BigInt(source));
      const source = new Tensor("int64", sources, [beams.length]);
      const y = await session.run({ ...caches, ...(c.beams > 1 && { source }), x: f32(x), mask: f32(mask) });
      for (const cache of Object.values(caches)) cache.dispose();
      caches = Object.fromEntries(cacheNames(c.layers).map(({ past, out }) => [past, y[out]!]));
      beams = best(beams, y.tokens!.data as BigInt64Array, y.logprobs?.data as Float32Array | undefined, c.beams);
      if (beams[0]!.tokens.length === c.tokens) break;
      const newest = beams.map(({ tokens }) => tokens.at(-1)!);
      x = {
        shape: [c.beams, 1, C],
        data: rows(newest.map((token) => place(wte.subarray(token * C, (token + 1) * C), position))),
      };
      mask = { shape: [1, position + 1], data: new Float32Array(position + 1) };
    }
    for (const cache of Object.values(caches)) cache.dispose();
    return Float32Array.from(beams.flatMap(({ tokens }) => tokens));
  };
}

/**
 * The best `width` continuations of all beams, from the likeliest tokens of each. Here no token stops a beam: all are of one
 * length, so the original's order by mean log-probability is the order by sum. Equal ones: lowest beam, then token.
 */
function best(
  beams: readonly Beam[],
  tokens: BigInt64Array,
  logprobs: Float32Array | undefined,
  width: number,
): readonly Beam[] {
  const perBeam = tokens.length / beams.length;
  const candidates = Array.from(tokens, (token, i): Beam => {
    const source = Math.floor(i / perBeam);
    const { score, tokens: before } = beams[source]!;
    return { source, tokens: [...before, Number(token)], score: score + (logprobs?.[i] ?? 0) };
  });
  return candidates.sort((a, b) => b.score - a.score).slice(0, width);
}

/** The step's caches by the names of its inputs and outputs. */
function cacheNames(layers: number): { readonly past: string; readonly out: string }[] {
  return Array.from({ length: layers }, (_, i) =>
    ["k", "v"].map((kv) => ({ past: `p${i}.${kv}`, out: `${kv}${i}` })),
  ).flat();
}

function rows(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const all = new Float32Array(parts.length * C);
  for (const [i, part] of parts.entries()) all.set(part, i * C);
  return all;
}
