import type { Program } from "./program.js";

/**
 * Element types on the GPU. f16 is stored two to a 32-bit word, q8 four to a word with one f32 scale per row
 * (`Tensor.scale`); kernels decode both to f32, so neither needs a device feature.
 */
export type DType = "f32" | "u32" | "f16" | "q8";

const BITS: Readonly<Record<DType, number>> = { f32: 32, u32: 32, f16: 16, q8: 8 };

/** Rows [start, end) of a persistent tensor in one buffer: a tensor above the binding limit has several. */
export interface Part {
  readonly buffer: GPUBuffer;
  readonly start: number;
  readonly end: number;
}

/** Where a tensor's bytes are: in buffers of its own, or at an offset that a program's plan will choose. */
export type Storage = { readonly kind: "buffers"; readonly parts: readonly Part[] } | TransientStorage;

/** A value that lives only inside one program, between the dispatch that writes it and the last that reads it. */
export interface TransientStorage {
  readonly kind: "transient";
  readonly program: Program;
  readonly bytes: number;
  readonly label: string;
}

/** A dense row-major array on the GPU. Rows are the first axis. */
export class Tensor {
  readonly size: number;

  constructor(
    readonly label: string,
    readonly shape: readonly number[],
    readonly dtype: DType,
    readonly storage: Storage,
    /** q8 only: f32 [rows]; value = scale[row] * int8. */
    readonly scale?: Tensor,
    /** Training computes a gradient only for tensors that ask for one. */
    readonly requiresGrad = false,
  ) {
    this.size = elements(shape);
  }

  get rows(): number {
    return this.shape[0] ?? 1;
  }

  /** The same bytes under another shape of equal size. */
  reshape(...shape: number[]): Tensor {
    if (elements(shape) !== this.size) {
      throw new RangeError(`cannot view ${this.label} [${this.shape}] as [${shape}]: ${this.size} elements`);
    }
    return new Tensor(this.label, shape, this.dtype, this.storage, this.scale, this.requiresGrad);
  }
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}

/** Bytes of `count` elements, rounded up to whole 16-byte vectors so that a kernel may bind them as vec4. */
export function storageBytes(dtype: DType, count: number): number {
  return Math.max(16, Math.ceil((count * BITS[dtype]) / 128) * 16);
}

/** Bytes of one row without padding; a tensor is split between rows, so rows of packed types must fill words. */
export function rowBytes(dtype: DType, shape: readonly number[]): number {
  return (elements(shape.slice(1)) * BITS[dtype]) / 8;
}
