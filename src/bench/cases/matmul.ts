import { activationRef } from "../../kernels/activation/activation.ref.js";
import { FUSED_BENCH, MATMUL_BENCH, type NamedMatmul } from "../../kernels/matmul/matmul.cases.js";
import { matmul } from "../../kernels/matmul/matmul.js";
import { candidates, chooseVariant, type Variant, variantName } from "../../kernels/matmul/variant.js";
import type { Device } from "../../runtime/device.js";
import type { Program } from "../../runtime/program.js";
import { Tensor } from "../../runtime/tensor.js";
import { dequantizeRows, f16ToF32, f32ToF16, quantizeRows } from "../../weights/float.js";
import { input, type KernelCase, squaredError, type Values, values } from "./case.js";

type Weight = "f32" | "f16" | "q8";

/** Runs everywhere: the others are measured against it. */
const TILE: Variant = { family: "tile", size: 64 };

/**
 * The chosen variant of every shape in f32 and, for products with weights of few rows, in f16 and q8; in f32 also the
 * other candidates, and tile. The layouts nn and tn are the backward passes: of activations and of weights. What epilogues cost
 * is seen beside the bare products.
 */
export function matmulCases(device: Device): KernelCase[] {
  const bare = MATMUL_BENCH.flatMap((shape) => {
    const chosen = (weight: Weight) => chooseVariant(shape, device, weight);
    const packed: readonly Weight[] = shape.layout === "nt" && shape.M <= 50 ? ["f16", "q8"] : [];
    const others = new Map([...candidates(shape, device), TILE].map((v) => [nameOf(v), v]));
    others.delete(nameOf(chosen("f32")));
    return [
      ...(["f32", ...packed] as const).map((weight) => matmulCase(shape, chosen(weight), weight, true)),
      ...[...others.values()].map((variant) => matmulCase(shape, variant, "f32", false)),
    ];
  });
  return [...bare, ...FUSED_BENCH.map((shape) => matmulCase(shape, chooseVariant(shape, device), "f32", true))];
}

/** A space in place of the table's ".r": "lane 50". */
function nameOf(v: Variant): string {
  return variantName(v).replace(".r", " ");
}

function matmulCase(shape: NamedMatmul, variant: Variant, weight: Weight, chosen: boolean): KernelCase {
  const { layout, M, K, N, of, activation } = shape;
  const fused = [shape.bias && "bias", activation, shape.residual && "residual"].filter(Boolean);
  const aShape = layout === "tn" ? [K, M] : [M, K];
  const bShape = layout === "nt" ? [N, K] : [K, N];
  return {
    kernel: `matmul.${layout}`,
    variant: nameOf(variant),
    shape: `${of}: ${M} x ${K} x ${N}${fused.map((what) => `, ${what}`).join("")}`,
    dtype: weight,
    chosen,
    record: (p) => {
      const [x, y] = [values("a", M * K), values("b", K * N, 0.05)];
      const bias = shape.bias ? values("bias", N) : undefined;
      const residual = shape.residual ? values("residual", M * N) : undefined;
      const out = matmul(p, input(p, "a", aShape, x), weightTensor(p, bShape, y, weight), {
        layout,
        variant,
        label: of,
        activation,
        bias: bias && input(p, "bias", [N], bias),
        residual: residual && input(p, "residual", [M, N], residual),
      });
      const operands = { a: x, b: stored(y, bShape[0]!, weight), bias, residual };
      return { outputs: [out], error: ([got]) => sampledError(got!, shape, operands) };
    },
  };
}

function weightTensor(p: Program, shape: readonly number[], data: Float32Array<ArrayBuffer>, weight: Weight): Tensor {
  if (weight === "f32") return input(p, "b", shape, data);
  if (weight === "f16") {
    const tensor = p.persistent("b", shape, "f16");
    p.device.write(tensor, f32ToF16(data));
    return tensor;
  }
  const { values: q, scales } = quantizeRows(data, shape[0]!, shape[1]!);
  const scale = p.persistent("scale", [shape[0]!]);
  const tensor = p.persistent("b", shape, "q8");
  p.device.write(scale, scales);
  p.device.write(tensor, q);
  return new Tensor("b", shape, "q8", tensor.storage, scale);
}

/** The values that the packed weights stand for. */
function stored(data: Float32Array<ArrayBuffer>, rows: number, weight: Weight): Float32Array {
  if (weight === "f16") return f16ToF32(f32ToF16(data));
  if (weight === "f32") return data;
  const { values: q, scales } = quantizeRows(data, rows, data.length / rows);
  return dequantizeRows(q, scales);
}

interface Operands {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly bias?: Float32Array;
  readonly residual?: Float32Array;
}

const SAMPLES = 256;

/** Elements all over the output, the last column among them (it may lie in another part of a split weight), against f64 sums. */
function sampledError(out: Values, { layout, M, K, N, activation = "none" }: NamedMatmul, operands: Operands): number {
  const { a, b, bias, residual } = operands;
  if (out.length !== M * N) return Number.POSITIVE_INFINITY;
  const picks = Array.from({ length: SAMPLES }, (_, i) => ({
    m: (i * 7919) % M,
    n: i === SAMPLES - 1 ? N - 1 : (i * 104_729) % N,
  }));
  const expected = picks.map(({ m, n }) => {
    let sum = bias?.[n] ?? 0;
    for (let k = 0; k < K; k++) {
      sum += a[layout === "tn" ? k * M + m : m * K + k]! * b[layout === "nt" ? n * K + k : k * N + n]!;
    }
    return activationRef([sum], activation)[0]! + (residual?.[m * N + n] ?? 0);
  });
  return squaredError(
    picks.map(({ m, n }) => out[m * N + n]!),
    expected,
  );
}
