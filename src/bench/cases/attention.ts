import { cachedAttentionCases } from "../../kernels/attention/attention.cases.js";
import { attention, cachedAttention, chooseVariant, packedQkv, storeKv } from "../../kernels/attention/attention.js";
import { attentionBackwardRef, attentionRef, cachedAttentionRef } from "../../kernels/attention/attention.ref.js";
import type { Device } from "../../runtime/device.js";
import {
  bothWays,
  forwardCase,
  input,
  type KernelCase,
  named,
  type Operation,
  squaredError,
  values,
  variantsOf,
} from "./case.js";
import { CLIP, GPT2, MAPPER, TRAINING } from "./shapes.js";

export function attentionCases(device: Device): KernelCase[] {
  return [...wholeSequences(device), ...againstCache(device), ...storing()];
}

interface SelfAttention {
  readonly of: string;
  readonly batch: number;
  readonly tokens: number;
  readonly heads: number;
  readonly headSize: number;
  readonly causal: boolean;
  /** Timed backward too. */
  readonly trained: boolean;
}

const one = { batch: 1, headSize: 64, causal: false, trained: false };

const SEQUENCES: readonly SelfAttention[] = [
  { ...one, of: "CLIP B/32", tokens: CLIP.tokens, heads: CLIP.heads },
  { ...one, of: "CLIP B/32, 8 images", batch: 8, tokens: CLIP.tokens, heads: CLIP.heads, trained: true },
  { ...one, of: "GPT-2 prompt", tokens: 24, heads: GPT2.heads, causal: true },
  { ...one, of: "mapper", tokens: MAPPER.tokens, heads: MAPPER.heads, headSize: 96 },
  {
    ...one,
    of: "GPT-2 training",
    batch: TRAINING.batch,
    tokens: TRAINING.tokens,
    heads: GPT2.heads,
    causal: true,
    trained: true,
  },
  {
    ...one,
    of: "mapper training",
    batch: TRAINING.batch,
    tokens: MAPPER.tokens,
    heads: MAPPER.heads,
    headSize: 96,
    trained: true,
  },
  { ...one, of: "1024 tokens", tokens: 1024, heads: 1, causal: true, trained: true },
];

function wholeSequences(device: Device): KernelCase[] {
  const all = device.lanes > 0 ? (["lanes", "tile"] as const) : (["tile"] as const);
  return SEQUENCES.flatMap((c) => {
    const { of, batch: B, tokens: T, heads: H, headSize: D, causal } = c;
    const o = { batch: B, queries: T, keys: T, heads: H, headSize: D, causal };
    return variantsOf(all, chooseVariant(D % 4 === 0, device), String).flatMap(({ variant, name, chosen }) => {
      const op: Operation = {
        kernel: "attention",
        variant: name,
        shape: `${of}: ${B > 1 ? `${B} x ` : ""}${T} x ${T}, ${H} heads of ${D}${causal ? ", causal" : ""}`,
        chosen,
        inputs: () => [named("qkv", [B * T, 3 * H * D])],
        record: (p, [qkv]) => attention(p, ...packedQkv(qkv!, B, T, H), { ...o, label: "attention", variant }),
        expected: ([qkv]) => attentionRef(...packedData(qkv!, c), o),
        gradients: (dy, [qkv]) => [attentionBackwardRef(...packedData(qkv!, c), dy, o).get(qkv!)!],
      };
      return c.trained ? bothWays(op) : [forwardCase(op)];
    });
  });
}

/** As `packedQkv`, of numbers. */
function packedData(data: Float32Array, { tokens: T, heads: H, headSize: D }: SelfAttention) {
  const part = (i: number) => ({ data, offset: i * H * D, row: 3 * H * D, batch: T * 3 * H * D, head: D });
  return [part(0), part(1), part(2)] as const;
}

const CACHED = ["GPT-2 beam 5", "greedy", "text prompt", "long"];

function againstCache(device: Device): KernelCase[] {
  const all = device.lanes > 0 ? (["lanes", "group"] as const) : (["group"] as const);
  return cachedAttentionCases
    .filter((c) => CACHED.includes(c.name))
    .flatMap((c) => {
      const { name, rows: R, tokens: T, heads: H, headSize: D, keys, capacity } = c;
      const C = H * D;
      return all.map((variant, i): KernelCase => {
        return {
          kernel: "attention.cached",
          variant,
          shape: `${name}: ${R} x ${T}, ${keys} keys, ${H} heads of ${D}`,
          dtype: "f32",
          chosen: i === 0,
          record: (p) => {
            const qkv = values(`${name} qkv`, R * T * 3 * C);
            const [k, v] = [values(`${name} k`, R * capacity * C), values(`${name} v`, R * capacity * C)];
            const ancestry = Uint32Array.from({ length: R * capacity }, (_, j) => (j * 7) % R);
            const dims = [R, capacity, C];
            const cache = { k: input(p, "k", dims, k), v: input(p, "v", dims, v), rows: R, capacity };
            const rows = input(p, "ancestry", [R, capacity], ancestry);
            const o = { rows: R, tokens: T, heads: H, headSize: D, keys, label: "cached", variant };
            const y = cachedAttention(p, input(p, "qkv", [R * T, 3 * C], qkv), cache, rows, o);
            return {
              outputs: [y],
              error: ([got]) => squaredError(got!, cachedAttentionRef(qkv, k, v, ancestry, c)),
              bytes: 4 * R * C * (2 * T + 2 * keys),
            };
          },
        };
      });
    });
}

/** Keys and values of new tokens into the cache: of a prompt, and of one token for each beam. */
function storing(): KernelCase[] {
  return [
    { of: "prompt", R: 1, T: 10 },
    { of: "beam 5", R: 5, T: 1 },
  ].map(({ of, R, T }): KernelCase => {
    const [C, capacity, start] = [GPT2.width, 77, 3];
    return {
      kernel: "attention.store",
      variant: "only",
      shape: `${of}: ${R} x ${T} x ${C}`,
      dtype: "f32",
      chosen: true,
      record: (p) => {
        const qkv = values("qkv", R * T * 3 * C);
        const make = (label: string) => input(p, label, [R, capacity, C], new Float32Array(R * capacity * C));
        const cache = { k: make("k"), v: make("v"), rows: R, capacity };
        const o = { batch: R, tokens: T, width: C, rowStride: 1, start, label: "store" };
        storeKv(p, input(p, "qkv", [R * T, 3 * C], qkv), cache, o);
        const expected = (i: number) => {
          const out = new Float32Array(R * capacity * C);
          for (let row = 0; row < R * T; row++) {
            const at = (Math.floor(row / T) * capacity + start + (row % T)) * C;
            out.set(qkv.subarray((row * 3 + i) * C, (row * 3 + i + 1) * C), at);
          }
          return out;
        };
        return {
          outputs: [cache.k, cache.v],
          error: ([k, v]) => Math.max(squaredError(k!, expected(1)), squaredError(v!, expected(2))),
          bytes: 4 * 4 * R * T * C,
        };
      },
    };
  });
}
