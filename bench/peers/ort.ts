// ONNX Runtime; its execution provider is the first argument, cpu or webgpu.
import { InferenceSession, Tensor } from "onnxruntime-node";
import { C, type Case, causalMask, GPT2, gpt2File, H, inputOf, type Values } from "./cases.js";
import { type Library, type Prepared, serve, versionOf } from "./library.js";
import { onnxModel } from "./onnx/models.js";

const provider = process.argv[2] === "cpu" ? "cpu" : "webgpu";
const f32 = ({ shape, data }: Values) => new Tensor("float32", data, shape);

async function prepare(c: Case): Promise<Prepared> {
  if (c.type === "mlp-step" || c.type === "block-step") throw new Error("onnxruntime-node does not train");
  const session = await InferenceSession.create(await onnxModel(c), {
    executionProviders: [provider],
    logSeverityLevel: 3, // warnings name nodes that stay on the CPU, which shape arithmetic always does
  });
  const close = () => session.release();
  if (c.type === "decode") return { call: await decoder(session, c.tokens, inputOf(c)), close };
  const input = inputOf(c);
  const call = async () => (await session.run({ x: f32(input) })).y!.data as Float32Array;
  return { call, close };
}

/** Greedy decoding. Caches pass through the host at each step: onnxruntime-node has no binding to device memory. */
async function decoder(session: InferenceSession, tokens: number, prefix: Values): Promise<Prepared["call"]> {
  const [wte, wpe] = [await gpt2File.readF32("wte.weight"), await gpt2File.readF32("wpe.weight")];
  const placed = (row: Float32Array, position: number) => row.map((v, i) => v + wpe[position * C + i]!);
  const start = prefix.shape[0]!;
  const rows = Array.from({ length: start }, (_, t) => placed(prefix.data.subarray(t * C, (t + 1) * C), t));
  const first = Float32Array.from(rows.flatMap((row) => [...row]));
  return async () => {
    const out: number[] = [];
    let caches = emptyCaches();
    let x: Values = { shape: [start, C], data: first };
    for (let position = start; ; position++) {
      const T = x.shape[0]!;
      const mask = T > 1 ? causalMask(T) : { shape: [1, position], data: new Float32Array(position) };
      const y = await session.run({ ...caches, x: f32(x), mask: f32(mask) });
      const next = Number((y.next!.data as BigInt64Array)[0]);
      out.push(next);
      if (out.length === tokens) return Float32Array.from(out);
      caches = Object.fromEntries(Object.keys(caches).map((name) => [name, y[outputOf(name)]!]));
      x = {
        shape: [1, C],
        data: placed(wte.subarray(next * C, (next + 1) * C) as Float32Array<ArrayBuffer>, position),
      };
    }
  };
}

function emptyCaches(): Record<string, Tensor> {
  const names = Array.from({ length: GPT2.layers }, (_, i) => [`p${i}.k`, `p${i}.v`]).flat();
  return Object.fromEntries(names.map((name) => [name, f32({ shape: [H, 0, C / H], data: new Float32Array(0) })]));
}

/** p3.k is what k3 of the step before was. */
function outputOf(cache: string): string {
  const [layer, name] = cache.slice(1).split(".");
  return `${name}${layer}`;
}

const name = `onnxruntime ${provider} ${versionOf("onnxruntime-node")}`;
await serve(async (): Promise<Library> => ({ name, prepare }));
