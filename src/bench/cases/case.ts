import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { syntheticValues } from "../../weights/synthetic.js";

type Values = Float32Array | Uint32Array;

/** One operation at one shape in one variant: how it is recorded, and what it must give. */
export interface KernelCase {
  readonly kernel: string;
  readonly variant: string;
  readonly shape: string;
  readonly dtype: string;
  readonly record: (p: Program) => Tensor;
  /** Bytes that must move, where the bound tensors say too much (a lookup reads a few rows of its table). */
  readonly bytes?: number;
  /** Normalised squared error of the output, or of a sample of it. */
  readonly error: (out: Values) => number;
}

/** Deterministic values in (-scale, scale). */
export function values(name: string, count: number, scale = 1): Float32Array<ArrayBuffer> {
  return syntheticValues(name, 0, count, 0, scale / Math.sqrt(3));
}

export function input(p: Program, label: string, shape: readonly number[], data: Float32Array | Uint32Array): Tensor {
  const tensor = p.persistent(label, shape, data instanceof Uint32Array ? "u32" : "f32");
  p.device.write(tensor, data);
  return tensor;
}

/** Sum of squared errors over sum of squares. */
export function squaredError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [error, power] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    error += (got[i]! - expected[i]!) ** 2;
    power += expected[i]! ** 2;
  }
  return got.length === expected.length ? error / (power || 1) : Number.POSITIVE_INFINITY;
}
