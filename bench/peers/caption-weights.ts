// The networks of `caption-step` for libraries of arrays: matrices are [in, out], the blocks of both have GPT-2's names.
import {
  C,
  type CaptionStep,
  causalMask,
  GPT2,
  gpt2File,
  MAPPER,
  mapperFile,
  targetsOf,
  transposed,
  type Values,
  valuesOf,
} from "./cases.js";

type Weights = ReadonlyMap<string, Values>;

/** The layers of a mapper's block by the names of GPT-2's; q and k|v are one there. */
const MAPPER_LAYERS = {
  ln_1: ["norm1"],
  "attn.c_attn": ["attn.to_queries", "attn.to_keys_values"],
  "attn.c_proj": ["attn.project"],
  ln_2: ["norm2"],
  "mlp.c_fc": ["mlp.fc1"],
  "mlp.c_proj": ["mlp.fc2"],
} as const;

/** What learns. */
export async function mapperWeights(): Promise<Weights> {
  const weights = new Map<string, Values>();
  const load = async (name: string, parts: readonly string[]) => {
    const present = parts.map((part) => `clip_project.${part}`).filter((part) => mapperFile.tensors.has(part));
    if (present.length === 0) return; // q|k|v has no bias
    const values = stacked(await Promise.all(present.map((part) => valuesOf(mapperFile, part))));
    const isMatrix = name.endsWith("weight") && values.shape.length === 2;
    weights.set(name, isMatrix ? transposed(values) : values);
  };
  await load("prefix_const", ["prefix_const"]);
  const layers: [string, readonly string[]][] = [["linear", ["linear"]]];
  for (let i = 0; i < MAPPER.layers; i++) {
    for (const [name, parts] of Object.entries(MAPPER_LAYERS)) {
      layers.push([`h.${i}.${name}`, parts.map((part) => `transformer.layers.${i}.${part}`)]);
    }
  }
  for (const [name, parts] of layers) {
    for (const kind of ["weight", "bias"]) {
      await load(
        `${name}.${kind}`,
        parts.map((part) => `${part}.${kind}`),
      );
    }
  }
  return weights;
}

/**
 * What no step changes: GPT-2's blocks and last norm, the embeddings `text` [B, T, C] of the captions without `positions`
 * [K+T, C], `mask` [K+T, K+T], and for the logits of the first and of the other half of the vocabulary `unembed.0` and
 * `unembed.1` [C, V/2]: all of it takes 154 MB, and adapters may bind no more than 134 MB at once.
 */
export async function captionConstants(c: CaptionStep): Promise<Weights> {
  const [wte, wpe] = [await valuesOf(gpt2File, "wte.weight"), await valuesOf(gpt2File, "wpe.weight")];
  const T = MAPPER.prefixLength + c.tokens;
  const half = Math.ceil(GPT2.vocab / 2);
  const unembed = (from: number, to: number) =>
    transposed({ shape: [to - from, C], data: wte.data.subarray(from * C, to * C) });
  const constants = new Map<string, Values>([
    ["unembed.0", unembed(0, half)],
    ["unembed.1", unembed(half, GPT2.vocab)],
    ["text", { shape: [c.images, c.tokens, C], data: rowsOf(wte, targetsOf(c)) }],
    ["positions", { shape: [T, C], data: wpe.data.slice(0, T * C) }],
    ["mask", causalMask(T)],
  ]);
  const names = [...gpt2File.tensors.keys()].filter((name) => !/^w[tp]e/.test(name));
  for (const name of names) constants.set(name, await valuesOf(gpt2File, name));
  return constants;
}

function rowsOf({ data }: Values, rows: Int32Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows.length * C);
  for (const [i, row] of rows.entries()) out.set(data.subarray(row * C, (row + 1) * C), i * C);
  return out;
}

/** One below the other. */
function stacked(parts: readonly Values[]): Values {
  const [first] = parts as [Values];
  const data = new Float32Array(parts.reduce((n, part) => n + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  const rows = parts.reduce((n, { shape }) => n + shape[0]!, 0);
  return { shape: [rows, ...first.shape.slice(1)], data };
}
