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
  /** Bytes before the first row; parameters that are trained together lie in one buffer. */
  readonly offset: number;
  /** Bytes to bind, padding to whole vectors included. */
  readonly bytes: number;
  readonly start: number;
  readonly end: number;
}

/** Where a tensor's bytes are: in buffers of its own, or at an offset that a program's plan will choose. */
export type Storage = PersistentStorage | TransientStorage;

export interface PersistentStorage {
  readonly kind: "buffers";
  readonly parts: readonly Part[];
  /** Where a backward pass puts the gradient; without it the tensor is frozen and costs a backward pass nothing. */
  readonly grad?: Tensor;
}

/** A value that lives only inside one program, between the dispatch that writes it and the last that reads it. */
export interface TransientStorage {
  readonly kind: "transient";
  readonly program: Program;
  readonly bytes: number;
  readonly label: string;
  /** Set when it is computed from something that needs a gradient; see `Program.differentiate`. */
  requiresGrad: boolean;
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
  ) {
    this.size = elements(shape);
  }

  /** Whether a backward pass computes a gradient for it. */
  get requiresGrad(): boolean {
    return this.storage.kind === "transient" ? this.storage.requiresGrad : this.storage.grad !== undefined;
  }

  get rows(): number {
    return this.shape[0] ?? 1;
  }

  /** The same bytes under another shape of equal size. */
  reshape(...shape: number[]): Tensor {
    if (elements(shape) !== this.size) {
      throw new RangeError(`cannot view ${this.label} [${this.shape}] as [${shape}]: ${this.size} elements`);
    }
    return new Tensor(this.label, shape, this.dtype, this.storage, this.scale);
  }
}

/** One part of a split tensor, for a binding. */
export interface TensorPart {
  readonly tensor: Tensor;
  readonly part: number;
}

/** The tensor behind a binding. */
export function whole(bound: Tensor | TensorPart): Tensor {
  return "tensor" in bound ? bound.tensor : bound;
}

/**
 * Rows [start, end) of a persistent tensor, as a tensor of their own; they must lie in one part and begin at a multiple
 * of 256 bytes, where WebGPU lets a binding begin. Their gradient is the same rows of the gradient.
 */
export function rowsOfTensor(t: Tensor, start: number, end: number): Tensor {
  const { storage } = t;
  if (storage.kind !== "buffers") throw new TypeError(`${t.label} lives inside a program; its rows cannot be bound`);
  const part = storage.parts.find((p) => p.start <= start && end <= p.end);
  const first = part ? part.offset + (start - part.start) * rowBytes(t.dtype, t.shape) : 0;
  if (!part || first % 256 !== 0) throw new RangeError(`${t.label}: rows ${start} to ${end} cannot be bound alone`);
  const shape = [end - start, ...t.shape.slice(1)];
  const bytes = storageBytes(t.dtype, elements(shape));
  const piece: Part = { buffer: part.buffer, offset: first, bytes, start: 0, end: end - start };
  const grad = storage.grad && rowsOfTensor(storage.grad, start, end);
  return new Tensor(`${t.label}[${start}..${end}]`, shape, t.dtype, { kind: "buffers", parts: [piece], grad });
}

/** Elements of a tensor of this shape; 1 for []. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}

/** Bytes of `count` elements. */
export function byteLength(dtype: DType, count: number): number {
  return (count * BITS[dtype]) / 8;
}

/** The same rounded up to whole 16-byte vectors so that a kernel may bind them as vec4. */
export function storageBytes(dtype: DType, count: number): number {
  return Math.max(16, Math.ceil(byteLength(dtype, count) / 16) * 16);
}

/** Bytes of one row without padding; a tensor is split between rows, so rows of packed types must fill words. */
export function rowBytes(dtype: DType, shape: readonly number[]): number {
  return byteLength(dtype, elements(shape.slice(1)));
}

export interface TensorOptions {
  /** The label under which `memory()` counts it; default: its own. */
  readonly account?: string;
  readonly scale?: Tensor;
  /** Also allocates its gradient. */
  readonly requiresGrad?: boolean;
}
