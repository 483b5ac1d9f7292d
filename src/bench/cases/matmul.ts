import { MATMUL_BENCH } from "../../kernels/matmul/matmul.cases.js";
import { chooseVariant, type MatmulShape, matmul, type Variant } from "../../kernels/matmul/matmul.js";
import type { Device } from "../../runtime/device.js";
import type { Program } from "../../runtime/program.js";
import { Tensor } from "../../runtime/tensor.js";
import { dequantizeRows, f16ToF32, f32ToF16, quantizeRows } from "../../weights/float.js";
import { input, type KernelCase, squaredError, values } from "./case.js";

type Weight = "f32" | "f16" | "q8";

/** The chosen variant of every shape in every weight type, and in f32 the others that can run it. */
export function matmulCases(device: Device): KernelCase[] {
  return MATMUL_BENCH.flatMap((shape) => {
    const chosen = chooseVariant(shape, device);
    const packed: readonly Weight[] = shape.layout === "nt" && shape.M <= 50 ? ["f16", "q8"] : [];
    const others = alternatives(shape, device).filter((v) => nameOf(v) !== nameOf(chosen));
    return [
      matmulCase(shape, chosen, "f32", true),
      ...packed.map((weight) => matmulCase(shape, chosen, weight, true)),
      ...others.map((variant) => matmulCase(shape, variant, "f32", false)),
    ];
  });
}

function alternatives({ layout, M }: MatmulShape, { lanes }: Device): Variant[] {
  const out: Variant[] = [{ family: "tile" }];
  if (layout === "nt" && M <= 8) out.push({ family: "few-rows", rows: M <= 1 ? 1 : M <= 4 ? 4 : 8 });
  if (lanes > 0 && layout !== "tn" && M > 8) {
    for (const rows of [10, 17, 25]) out.push({ family: "lane", lanes, rows });
  }
  if (lanes > 0 && layout === "nt" && M === 1) out.push({ family: "lane", lanes, rows: 1 });
  return out;
}

function nameOf(v: Variant): string {
  return `${v.family}${"rows" in v ? ` ${v.rows}` : ""}`;
}

function matmulCase(
  shape: MatmulShape & { readonly of: string },
  variant: Variant,
  weight: Weight,
  chosen: boolean,
): KernelCase {
  const { layout, M, K, N, of } = shape;
  const aShape = layout === "tn" ? [K, M] : [M, K];
  const bShape = layout === "nt" ? [N, K] : [K, N];
  return {
    kernel: `matmul.${layout}`,
    variant: nameOf(variant) + (chosen ? " *" : ""),
    shape: `${of}: ${M} x ${K} x ${N}`,
    dtype: weight,
    record: (p) => {
      const a = input(p, "a", aShape, values("a", M * K));
      const b = weightTensor(p, bShape, values("b", K * N, 0.05), weight);
      return matmul(p, a, b, { layout, variant, label: of });
    },
    error: (out) => sampledError(out as Float32Array, shape, weight),
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

/** 64 elements, the last column among them (it may lie in another part of a split weight), against f64 sums. */
function sampledError(out: Float32Array, { layout, M, K, N }: MatmulShape, weight: Weight): number {
  const a = values("a", M * K);
  const b = stored(values("b", K * N, 0.05), layout === "nt" ? N : K, weight);
  const at = (i: number) => ({ m: (i * 7919) % M, n: i === 63 ? N - 1 : (i * 104_729) % N });
  const picks = Array.from({ length: 64 }, (_, i) => at(i));
  const expected = picks.map(({ m, n }) => {
    let sum = 0;
    for (let k = 0; k < K; k++) {
      sum += a[layout === "tn" ? k * M + m : m * K + k]! * b[layout === "nt" ? n * K + k : k * N + n]!;
    }
    return sum;
  });
  return squaredError(
    picks.map(({ m, n }) => out[m * N + n]!),
    expected,
  );
}

/** The values that the packed weights stand for. */
function stored(data: Float32Array<ArrayBuffer>, rows: number, weight: Weight): Float32Array {
  if (weight === "f16") return f16ToF32(f32ToF16(data));
  if (weight === "f32") return data;
  const { values: q, scales } = quantizeRows(data, rows, data.length / rows);
  return dequantizeRows(q, scales);
}
