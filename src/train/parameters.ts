import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { mebibytes } from "../runtime/memory.js";
import { align } from "../runtime/plan.js";
import { type Part, rowBytes, storageBytes, Tensor } from "../runtime/tensor.js";

/** A trainable f32 tensor. */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  /** Whether the optimizer's weight decay applies to it; usually to matrices only. */
  readonly decay: boolean;
}

/** What is kept for each parameter: its value, the gradient, and the optimizer's first and second moments. */
export type ParameterKind = "value" | "grad" | "m" | "v";

/** One flat buffer of each kind, with the same layout; all parameters in it decay, or none does. */
export interface Slab extends Readonly<Record<ParameterKind, Tensor>> {
  readonly decay: boolean;
}

/** Rows [start, end) of a parameter, `offset` bytes into a slab. */
interface Place {
  readonly slab: number;
  readonly offset: number;
  readonly start: number;
  readonly end: number;
}

export interface ParameterLayout {
  readonly slabs: readonly { readonly decay: boolean; readonly bytes: number }[];
  readonly places: ReadonlyMap<string, readonly Place[]>;
}

/** WebGPU lets a binding begin at multiples of this (`minStorageBufferOffsetAlignment` by default). */
const ALIGNMENT = 256;

const KINDS = ["value", "grad", "m", "v"] as const;
const ACCOUNTS: Readonly<Record<ParameterKind, string>> = {
  value: "parameters",
  grad: "gradients",
  m: "moments",
  v: "moments",
};

/**
 * Places parameters in as few slabs as possible, each at most `limit` bytes: in order, in the first slab with room. One
 * that is larger is split between rows. Allocates nothing, so that memory is known beforehand.
 * @throws ClipCapError `out-of-memory` for a row above the limit; RangeError for two parameters of one name.
 */
export function layOutParameters(parameters: readonly Parameter[], limit: number): ParameterLayout {
  const most = limit - (limit % ALIGNMENT);
  const slabs: { decay: boolean; bytes: number }[] = [];
  const places = new Map<string, Place[]>();
  for (const { name, shape, decay } of parameters) {
    if (places.has(name)) throw new RangeError(`two parameters are called ${name}`);
    const rows = shape[0] ?? 1;
    const perRow = rowBytes("f32", shape);
    if (perRow > most) {
      throw new ClipCapError(
        "out-of-memory",
        `one row of ${name} [${shape}] takes ${mebibytes(perRow)}, above this device's binding limit of ${mebibytes(most)}`,
      );
    }
    const perPiece = Math.floor(most / perRow);
    const pieces: Place[] = [];
    for (let start = 0; start < rows; start += perPiece) {
      const end = Math.min(rows, start + perPiece);
      const bytes = align((end - start) * perRow, ALIGNMENT);
      let slab = slabs.findIndex((s) => s.decay === decay && s.bytes + bytes <= most);
      if (slab < 0) slab = slabs.push({ decay, bytes: 0 }) - 1;
      pieces.push({ slab, offset: slabs[slab]!.bytes, start, end });
      slabs[slab]!.bytes += bytes;
    }
    places.set(name, pieces);
  }
  return { slabs, places };
}

/**
 * All trainable parameters of a run, in a few flat buffers, so that one dispatch of the optimizer updates many. Models
 * use `tensor(name)` like any other tensor; a backward pass finds the gradient in its storage. Padding between them is
 * zero in every kind and stays so. New parameters, moments and `skips` are zero.
 */
export class ParameterStore {
  readonly slabs: readonly Slab[];
  /** u32 [2]: updates that were skipped for NaN or infinity, in all and in a row; see `recordAdamW`. */
  readonly skips: Tensor;
  private readonly tensors: Readonly<Record<ParameterKind, ReadonlyMap<string, Tensor>>>;

  private constructor(
    readonly device: Device,
    readonly parameters: readonly Parameter[],
    owned: Tensor[],
  ) {
    const { maxBindingBytes, maxBufferBytes } = device.limits;
    const { slabs, places } = layOutParameters(parameters, Math.min(maxBindingBytes, maxBufferBytes));
    const allocate = (label: string, shape: readonly number[], account: string, dtype: "f32" | "u32") => {
      const tensor = device.tensor(label, shape, dtype, { account });
      owned.push(tensor);
      return tensor;
    };
    this.slabs = slabs.map(({ decay, bytes }, i) => {
      const flat = (kind: ParameterKind) => allocate(`${kind}${i}`, [bytes / 4], ACCOUNTS[kind], "f32");
      return { decay, value: flat("value"), grad: flat("grad"), m: flat("m"), v: flat("v") };
    });
    this.skips = allocate("skips", [2], ACCOUNTS.m, "u32");
    const views = (kind: ParameterKind, grads?: ReadonlyMap<string, Tensor>) =>
      new Map(parameters.map((p) => [p.name, this.view(p, kind, places.get(p.name)!, grads?.get(p.name))]));
    const grad = views("grad");
    this.tensors = { grad, value: views("value", grad), m: views("m"), v: views("v") };
  }

  /**
   * Lays out and allocates. That the GPU lacks room is noticed by the next wait (`device.settle`).
   * @throws ClipCapError `out-of-memory`; then nothing stays allocated.
   */
  static create(device: Device, parameters: readonly Parameter[]): ParameterStore {
    const owned: Tensor[] = [];
    try {
      return new ParameterStore(device, parameters, owned);
    } catch (error) {
      for (const tensor of owned) device.free(tensor);
      throw error;
    }
  }

  /** The parameter for use in a model, or its gradient or a moment. @throws RangeError for an unknown name. */
  tensor(name: string, kind: ParameterKind = "value"): Tensor {
    const tensor = this.tensors[kind].get(name);
    if (!tensor) throw new RangeError(`${name} is none of the ${this.parameters.length} parameters in training`);
    return tensor;
  }

  /** Waits for the GPU and copies the values out. */
  async read(name: string, kind: ParameterKind = "value"): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array(await this.device.read(this.tensor(name, kind)));
  }

  /** Writes all of a tensor. @throws RangeError for another number of values. */
  write(name: string, values: Float32Array, kind: ParameterKind = "value"): void {
    const tensor = this.tensor(name, kind);
    if (values.length !== tensor.size) {
      throw new RangeError(`${values.length} values for ${name} [${tensor.shape}], which has ${tensor.size}`);
    }
    this.device.write(tensor, values);
  }

  free(): void {
    for (const slab of this.slabs) for (const kind of KINDS) this.device.free(slab[kind]);
    this.device.free(this.skips);
  }

  private view({ name, shape }: Parameter, kind: ParameterKind, places: readonly Place[], grad?: Tensor): Tensor {
    const perRow = rowBytes("f32", shape);
    const parts = places.map(({ slab, offset, start, end }): Part => {
      const { storage } = this.slabs[slab]![kind];
      if (storage.kind !== "buffers") throw new TypeError(`${name} lives inside a program`);
      const bytes = storageBytes("f32", ((end - start) * perRow) / 4);
      return { buffer: storage.parts[0]!.buffer, offset, bytes, start, end };
    });
    const label = kind === "value" ? name : `${name}.${kind}`;
    return new Tensor(label, shape, "f32", { kind: "buffers", parts, grad });
  }
}
