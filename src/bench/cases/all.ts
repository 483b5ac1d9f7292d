import { activation } from "../../kernels/activation/activation.js";
import { activationRef } from "../../kernels/activation/activation.ref.js";
import { attentionCases, cachedAttentionCases } from "../../kernels/attention/attention.cases.js";
import { attention, cachedAttention, packedQkv } from "../../kernels/attention/attention.js";
import { attentionRef, cachedAttentionRef } from "../../kernels/attention/attention.ref.js";
import { logSoftmax, topIndices } from "../../kernels/decode/decode.ref.js";
import { rowTop } from "../../kernels/decode/top.js";
import { embedding } from "../../kernels/embedding/embedding.js";
import { embeddingRef } from "../../kernels/embedding/embedding.ref.js";
import { l2Normalize } from "../../kernels/l2norm/l2norm.js";
import { l2NormalizeRef } from "../../kernels/l2norm/l2norm.ref.js";
import { layerNorm } from "../../kernels/layernorm/layernorm.js";
import { layerNormRef } from "../../kernels/layernorm/layernorm.ref.js";
import { patches } from "../../kernels/patch/patch.js";
import { patchesRef } from "../../kernels/patch/patch.ref.js";
import { runnableRowGroups } from "../../kernels/rowgroup.js";
import { addPositions, concatRows, gatherRows } from "../../kernels/rows/rows.js";
import { addPositionsRef, concatRowsRef, pickRowsRef, strided } from "../../kernels/rows/rows.ref.js";
import { softmax } from "../../kernels/softmax/softmax.js";
import { softmaxRef } from "../../kernels/softmax/softmax.ref.js";
import type { Device } from "../../runtime/device.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { input, type KernelCase, squaredError, values } from "./case.js";
import { matmulCases } from "./matmul.js";

/** All cases of all operations at the shapes of the real models, with every variant that the device can run. */
export function kernelCases(device: Device): KernelCase[] {
  return [
    ...matmulCases(device),
    ...attentionBench(device),
    ...cachedBench(device),
    ...rowOperations(device),
    ...elementwise(),
    ...decoding(),
  ];
}

const attentionNames = ["CLIP B/32", "GPT-2 prompt", "mapper", "1024 tokens"];

function attentionBench(device: Device): KernelCase[] {
  return attentionCases
    .filter((c) => attentionNames.includes(c.name))
    .flatMap((c) => {
      const { batch: B, queries: T, heads: H, headSize: D } = c;
      const qkv = values(c.name, B * T * 3 * H * D);
      const expected = () => {
        const part = (i: number) => ({ data: qkv, offset: i * H * D, row: 3 * H * D, batch: T * 3 * H * D, head: D });
        return attentionRef(part(0), part(1), part(2), c);
      };
      const variants = device.lanes > 0 ? (["lanes", "tile"] as const) : (["tile"] as const);
      return variants.map((variant): KernelCase => {
        return {
          kernel: "attention",
          variant,
          shape: `${c.name}: ${T} x ${T}, ${H} heads of ${D}${c.causal ? ", causal" : ""}`,
          dtype: "f32",
          record: (p) => {
            const [q, k, v] = packedQkv(input(p, "qkv", [B * T, 3 * H * D], qkv), B, T, H);
            return attention(p, q, k, v, { ...c, keyLengths: undefined, label: "attention", variant });
          },
          error: (out) => squaredError(out, expected()),
        };
      });
    });
}

const cachedNames = ["GPT-2 beam 5", "greedy", "text prompt", "long"];

function cachedBench(device: Device): KernelCase[] {
  return cachedAttentionCases
    .filter((c) => cachedNames.includes(c.name))
    .flatMap((c) => {
      const { rows: R, tokens: T, heads: H, headSize: D, keys, capacity } = c;
      const C = H * D;
      const qkv = values(`${c.name} qkv`, R * T * 3 * C);
      const [k, v] = [values(`${c.name} k`, R * capacity * C), values(`${c.name} v`, R * capacity * C)];
      const ancestry = Uint32Array.from({ length: R * capacity }, (_, i) => (i * 7) % R);
      const variants = device.lanes > 0 ? (["lanes", "group"] as const) : (["group"] as const);
      return variants.map((variant): KernelCase => {
        return {
          kernel: "attention.cached",
          variant,
          shape: `${c.name}: ${R} x ${T}, ${keys} keys, ${H} heads of ${D}`,
          dtype: "f32",
          record: (p) => {
            const dims = [R, capacity, C];
            const cache = { k: input(p, "k", dims, k), v: input(p, "v", dims, v), rows: R, capacity };
            const rows = input(p, "ancestry", [R, capacity], ancestry);
            const o = { rows: R, tokens: T, heads: H, headSize: D, keys, label: "cached", variant };
            return cachedAttention(p, input(p, "qkv", [R * T, 3 * C], qkv), cache, rows, o);
          },
          bytes: 4 * R * T * C * (2 + 2 * keys),
          error: (out) => squaredError(out, cachedAttentionRef(qkv, k, v, ancestry, c)),
        };
      });
    });
}

function rowOperations(device: Device): KernelCase[] {
  return runnableRowGroups(device).flatMap((variant) => {
    const name = `${variant.reduce}${variant.size}`;
    const one = (kernel: string, rows: number, columns: number, op: Recorded, ref: Ref): KernelCase => {
      const x = values(kernel, rows * columns, 3);
      return {
        kernel,
        variant: name,
        shape: `${rows} x ${columns}`,
        dtype: "f32",
        record: (p) => op(p, input(p, "x", [rows, columns], x), columns),
        error: (out) => squaredError(out, ref(x, columns)),
      };
    };
    const weight = values("weight", 768);
    const bias = values("bias", 768);
    const norm: Recorded = (p, x, C) => {
      const [w, b] = [input(p, "w", [C], weight), input(p, "b", [C], bias)];
      return layerNorm(p, x, w, b, { eps: 1e-5, label: "norm", variant });
    };
    const normRef: Ref = (x) => layerNormRef(x, weight, bias, 1e-5);
    const soft: Recorded = (p, x) => softmax(p, x, { label: "softmax", variant });
    return [
      ...[1, 5, 50, 512].map((rows) => one("layernorm", rows, 768, norm, normRef)),
      one("softmax", 600, 50, soft, softmaxRef),
      one("softmax", 2, 50257, soft, softmaxRef),
      one("l2norm", 64, 512, (p, x) => l2Normalize(p, x, { label: "l2", variant }), l2NormalizeRef),
    ];
  });
}

type Recorded = (p: Program, x: Tensor, columns: number) => Tensor;
type Ref = (x: Float32Array, columns: number) => Float64Array;

function elementwise(): KernelCase[] {
  const pixels = values("pixels", 3 * 224 * 224);
  const table = values("table", 50257 * 768, 0.1);
  const ids = Uint32Array.of(13, 50256, 40000, 0, 7);
  const [tokens, more] = [values("tokens", 50 * 768), values("more", 10 * 768)];
  const plain = { variant: "only", dtype: "f32" };
  const tokensIn = (p: Program) => input(p, "x", [50, 768], tokens);
  return [
    ...(["gelu_new", "quick_gelu", "tanh"] as const).map((kind): KernelCase => {
      const x = values(kind, 512 * 3072, 4);
      return {
        ...plain,
        kernel: `activation.${kind}`,
        shape: "512 x 3072",
        record: (p) => activation(p, input(p, "x", [512, 3072], x), kind, { label: kind }),
        error: (out) => squaredError(out.slice(0, 1e5), activationRef(x.slice(0, 1e5), kind)),
      };
    }),
    {
      ...plain,
      kernel: "patch.rows",
      shape: "3 x 224 x 224, patch 32",
      record: (p) => {
        const o = { channels: 3, size: 224, patch: 32, label: "patches" };
        return patches(p, input(p, "x", [1, 3, 224, 224], pixels), o);
      },
      error: (out) => squaredError(out, patchesRef(pixels, 1, 3, 224, 32)),
    },
    {
      ...plain,
      kernel: "embedding",
      shape: "5 of 50257 x 768",
      record: (p) => {
        const all = p.persistent("table", [50257, 768]);
        p.device.write(all, table);
        return embedding(p, input(p, "ids", [5], ids), all, { label: "embedding" });
      },
      bytes: 2 * 4 * 5 * 768,
      error: (out) => squaredError(out, embeddingRef(ids, table, 768)),
    },
    {
      ...plain,
      kernel: "rows.gather",
      shape: "1 of 50 x 768",
      record: (p) => gatherRows(p, tokensIn(p), { start: 49, stride: 50, count: 1, label: "gather" }),
      bytes: 2 * 4 * 768,
      error: (out) => squaredError(out, pickRowsRef(tokens, 768, strided(49, 50, 1))),
    },
    {
      ...plain,
      kernel: "rows.concat",
      shape: "50 + 10 x 768",
      record: (p) => concatRows(p, tokensIn(p), input(p, "b", [10, 768], more), { batch: 1, label: "concat" }),
      error: (out) => squaredError(out, concatRowsRef(tokens, more, 1, false)),
    },
    {
      ...plain,
      kernel: "rows.add",
      shape: "50 x 768",
      record: (p) => {
        const positions = input(p, "positions", [50, 768], tokens);
        return addPositions(p, tokensIn(p), positions, { start: 0, period: 50, label: "positions" });
      },
      error: (out) => squaredError(out, addPositionsRef(tokens, tokens, 768, 0, 50)),
    },
  ];
}

/** Candidates of a decoding step; the reference sorts the row. */
function decoding(): KernelCase[] {
  const shapes = [
    { rows: 1, k: 1 },
    { rows: 5, k: 5 },
  ];
  return shapes.map(({ rows, k }): KernelCase => {
    const V = 50257;
    const logits = values("logits", rows * V, 8);
    return {
      kernel: "decode.top",
      variant: `k ${k}`,
      shape: `${rows} x ${V}`,
      dtype: "f32",
      record: (p) => rowTop(p, input(p, "logits", [rows, V], logits), k, { label: "top" }).tensor,
      bytes: 4 * rows * V,
      error: (out) => {
        const length = out.length / (2 * rows) - 1;
        const row = Array.from(logits.subarray((rows - 1) * V));
        const expected = topIndices(logSoftmax(row), k);
        const at = (rows - 1) * (length + 1);
        const got = expected.map((_, j) => out[2 * (at + 1 + j) + 1]!);
        return squaredError(got, expected);
      },
    };
  });
}
