import type { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";

/** A class of shapes, measured at one shape of it. */
export interface TuneCase {
  /** The class, as the choice of kernels asks for it. */
  readonly of: string;
  /** The shape, for people. */
  readonly shape: string;
  /** What may be chosen, the usual variant first. */
  readonly variants: readonly TuneVariant[];
  /** Normalised squared error of a variant's output; every element of it counts. */
  readonly error: (out: Float32Array | Uint32Array) => number;
}

export interface TuneVariant {
  readonly name: string;
  readonly record: (p: Program) => Tensor;
}
