import { squaredError, values } from "../bench/cases/case.js";
import { matmul } from "../kernels/matmul/matmul.js";
import type { Layout } from "../kernels/matmul/matmul.wgsl.js";
import { candidates, type MatmulShape, shapeClass, variantName } from "../kernels/matmul/variant.js";
import type { WeightType } from "../kernels/matmul/weight.wgsl.js";
import type { Device } from "../runtime/device.js";
import type { TuneCase } from "./case.js";
import { Operand } from "./operand.js";

/** Widths of block and vocabulary: the shipped model's and GPT-2 small's (CLIP B/32's as well). Others share their classes. */
const NETWORKS = [
  { C: 256, V: 4096 },
  { C: 768, V: 50_257 },
] as const;

/**
 * Rows of a forward pass: a caption, five beams, eight captions, a prefix, sixteen captions, a picture of 50 tokens,
 * beams of sixteen pictures, eight pictures.
 */
const ROWS = [1, 5, 8, 10, 16, 50, 80, 400] as const;
/** Packed weights are for decoding and for pictures one by one. */
const PACKED_ROWS = [1, 5, 10, 50] as const;
/** Logits of more rows are training's, which has them in chunks. */
const MAX_LOGIT_ROWS = 80;
/** Tokens of a training step. */
const TRAINING_ROWS = [400, 1000] as const;

/** One right-hand operand and the rows that it is measured with. */
interface Group {
  /** "tn", the gradients of weights, has no choice on any device. */
  readonly layout: Exclude<Layout, "tn">;
  readonly weight: WeightType;
  readonly K: number;
  readonly N: number;
  readonly rows: readonly number[];
}

/** The products of the networks, the most used first; backward and packed weights at the end. */
function groups(): Group[] {
  const forward = (weight: WeightType, rows: readonly number[]) =>
    NETWORKS.flatMap(({ C, V }): Group[] => [
      { layout: "nt", weight, K: C, N: 4 * C, rows },
      { layout: "nt", weight, K: C, N: C, rows },
      { layout: "nt", weight, K: 4 * C, N: C, rows },
      { layout: "nt", weight, K: C, N: V, rows: rows.filter((M) => M <= MAX_LOGIT_ROWS) },
    ]);
  const backward = NETWORKS.flatMap(({ C }): Group[] => [
    { layout: "nn", weight: "f32", K: 4 * C, N: C, rows: TRAINING_ROWS },
    { layout: "nn", weight: "f32", K: C, N: C, rows: TRAINING_ROWS },
    { layout: "nn", weight: "f32", K: C, N: 4 * C, rows: TRAINING_ROWS },
  ]);
  return [
    ...forward("f32", [...ROWS, 1000]),
    ...backward,
    ...forward("f16", PACKED_ROWS),
    ...forward("q8", PACKED_ROWS),
  ];
}

/**
 * The classes of matmul that have a choice on this device, and operands that fit its memory. A case's operands live until
 * the next case is asked for.
 */
export function* matmulCases(device: Device): Generator<TuneCase> {
  for (const group of groups()) {
    const shapes = group.rows
      .map((M): MatmulShape => ({ layout: group.layout, M, K: group.K, N: group.N }))
      .filter((shape) => candidates(shape, device).length > 1);
    if (shapes.length === 0) continue;
    const sizes: [number, number] = group.layout === "nt" ? [group.N, group.K] : [group.K, group.N];
    const b = Operand.fitting(device, sizes, group.weight);
    if (!b) continue;
    try {
      for (const shape of shapes) yield* matmulCase(device, shape, b, group.weight);
    } finally {
      b.free();
    }
  }
}

function* matmulCase(device: Device, shape: MatmulShape, b: Operand, weight: WeightType): Generator<TuneCase> {
  const { layout, M, K, N } = shape;
  const a = Operand.fitting(device, [M, K], "f32");
  if (!a) return;
  try {
    yield {
      of: shapeClass(shape, weight),
      shape: `${M} x ${K} x ${N}`,
      variants: candidates(shape, device).map((variant) => ({
        name: variantName(variant),
        record: (p) => matmul(p, a.tensor, b.tensor, { layout, variant, label: "product" }),
      })),
      error: productError(shape, a, b),
    };
  } finally {
    a.free();
  }
}

/**
 * Compares out r with a (b r) for a vector r of random values, in which every element of `out` has a part: a product of
 * M x K x N is checked by K (M + N) operations.
 */
function productError({ layout, M, N }: MatmulShape, a: Operand, b: Operand): TuneCase["error"] {
  const r = values("r", N);
  let expected: Float64Array | undefined;
  return (out) => {
    expected ??= a.times(b.times(r, { transposed: layout === "nt" }), { transposed: false });
    const got = Float64Array.from({ length: M }, (_, m) => {
      let sum = 0;
      for (let n = 0; n < N; n++) sum += out[m * N + n]! * r[n]!;
      return sum;
    });
    return squaredError(got, expected);
  };
}
