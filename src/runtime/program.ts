import type { Arenas } from "./arenas.js";
import type { Device } from "./device.js";
import { type Encoded, encodeDispatches } from "./encode.js";
import { ClipCapError } from "./errors.js";
import type { KernelSpec } from "./kernel.js";
import { mebibytes } from "./memory.js";
import { type Conflict, type Lifetime, type Plan, planMemory } from "./plan.js";
import { Reading } from "./reading.js";
import { type Backward, Gradients } from "./tape.js";
import {
  byteLength,
  type DType,
  elements,
  type Storage,
  storageBytes,
  Tensor,
  type TensorPart,
  whole,
} from "./tensor.js";
import { copyTo, planCopies, textureSize } from "./texture.js";
import { Uniforms } from "./uniforms.js";

/** A number that may change from run to run (position, step, seed), by name. */
export interface Scalar {
  readonly scalar: string;
}

export interface Dispatch {
  readonly kernel: KernelSpec;
  /** What it computes, e.g. `gpt2.h3.c_fc`; stands beside the kernel's name in errors and timelines. */
  readonly label: string;
  readonly tensors: Readonly<Record<string, Tensor | TensorPart>>;
  readonly uniforms: Readonly<Record<string, number | Scalar>>;
  readonly workgroups: readonly [number, number, number];
  /** Arithmetic of this dispatch (a multiply-add counts two), for benchmarks; some depends on the run's scalars. */
  readonly flops?: number | ((scalars: Readonly<Record<string, number>>) => number);
}

/** The arithmetic of a dispatch in a run with these scalars. */
export function flopsOf(
  { flops = 0 }: Pick<Dispatch, "flops">,
  scalars: Readonly<Record<string, number>> = {},
): number {
  return typeof flops === "number" ? flops : flops(scalars);
}

export interface CompileOptions {
  /** Bytes between values that tests fill and check. */
  readonly guardBytes?: number;
  /** Memory that this program's values share with those of other programs; see `Arenas`. */
  readonly arenas?: Arenas;
}

/**
 * A fixed list of dispatches over fixed shapes. Operations are recorded once, planned once (`compile`), then replayed
 * (`run`): a replay writes the changed scalars, encodes the dispatches with cached bind groups, and allocates nothing.
 */
export class Program {
  readonly dispatches: Dispatch[] = [];
  private readonly transients: Tensor[] = [];
  /** Position in `transients` by storage: a reshaped view is the same value. */
  private readonly index = new Map<unknown, number>();
  private readonly owned: Tensor[] = [];
  private readonly kept = new Set<Storage>();
  private taping: boolean;
  private readonly tape: { readonly y: Tensor; readonly backward: Backward }[] = [];
  private plan: Plan | undefined;
  private arenas: readonly GPUBuffer[] = [];
  private ownsArenas = true;
  /** Holds the matrix of a texture binding for the dispatch that reads it. */
  private texture: GPUTexture | undefined;
  /** In the order of `dispatches`, once compiled; benchmarks replay parts of it. */
  encoded: readonly Encoded[] = [];
  private uniforms: Uniforms | undefined;

  /** `gradients: false` keeps no tape, also where parameters in training are used: for validation and decoding. */
  constructor(
    readonly device: Device,
    readonly label: string,
    { gradients = true }: { readonly gradients?: boolean } = {},
  ) {
    this.taping = gradients;
  }

  /** A tensor with its own buffer that outlives runs: an input, a cache, decoding state. Freed with the program. */
  persistent(label: string, shape: readonly number[], dtype: DType = "f32", { requiresGrad = false } = {}): Tensor {
    const account = this.label;
    const tensor = this.device.tensor(`${this.label}.${label}`, shape, dtype, { account, requiresGrad });
    this.owned.push(tensor);
    return tensor;
  }

  /** A value between dispatches; its place is planned. */
  transient(label: string, shape: readonly number[], dtype: DType = "f32"): Tensor {
    const bytes = storageBytes(dtype, elements(shape));
    const storage = { kind: "transient", program: this, bytes, label, requiresGrad: false } as const;
    const tensor = new Tensor(label, shape, dtype, storage);
    this.index.set(tensor.storage, this.transients.length);
    this.transients.push(tensor);
    return tensor;
  }

  scalar(name: string): Scalar {
    return { scalar: name };
  }

  /** Records one dispatch. The kernel's bindings and uniforms must all be given. */
  dispatch(d: Dispatch): void {
    const where = nameOf(d);
    this.ensureRecording(where);
    for (const b of d.kernel.bindings) if (!d.tensors[b.name]) throw new TypeError(`${where}: no tensor for ${b.name}`);
    for (const [name] of d.kernel.uniforms) {
      if (d.uniforms[name] === undefined) throw new TypeError(`${where}: no value for ${name}`);
    }
    const { maxWorkgroupsPerDimension: most } = this.device.limits;
    if (d.workgroups.some((n) => n > most)) {
      throw new RangeError(`${where}: ${d.workgroups} workgroups; at most ${most} fit in a dimension`);
    }
    this.dispatches.push(d);
  }

  /**
   * Puts an operation on the tape: y was computed from `inputs`, and `backward` records what their gradients are, given
   * dy. Where no input needs a gradient nothing is kept.
   */
  differentiate(y: Tensor, inputs: readonly (Tensor | undefined)[], backward: Backward): void {
    if (!this.taping || !inputs.some((t) => t?.requiresGrad)) return;
    if (y.storage.kind === "transient") y.storage.requiresGrad = true;
    this.tape.push({ y, backward });
  }

  /**
   * Records the backward pass of y, whose gradient is `dy` (for a loss: one element holding 1). The gradients of
   * persistent tensors go to their `grad`; run with `{accumulate: 0}` to overwrite it, with 1 to add to it.
   */
  backward(y: Tensor, dy: Tensor): Gradients {
    const gradients = new Gradients(this);
    gradients.add(y, () => dy);
    const { taping } = this;
    this.taping = false; // gradients are not differentiated again
    for (const op of this.tape.splice(0).reverse()) {
      const known = gradients.get(op.y);
      if (known) op.backward(known, gradients);
    }
    this.taping = taping;
    return gradients;
  }

  /** Keeps a transient's value readable after the run. */
  keep(...tensors: Tensor[]): void {
    for (const t of tensors) {
      this.ensureRecording(t.label);
      this.kept.add(t.storage);
    }
  }

  /** Plans memory without allocating: where everything goes, and bytes of the largest binding. */
  measure(options: CompileOptions = {}): { plan: Plan; largestBinding: number } {
    // Guards are only meaningful where nothing else may later be placed: with them, every value lives to the end.
    const forever = { first: 0, last: this.dispatches.length };
    const lifetimes = options.guardBytes ? this.lifetimes().map((l) => ({ ...l, ...forever })) : this.lifetimes();
    const plan = planMemory(lifetimes, this.conflicts(), {
      alignment: this.device.limits.storageAlignment,
      maxArenaBytes: this.device.limits.maxBufferBytes,
      guardBytes: options.guardBytes ?? 0,
    });
    return { plan, largestBinding: Math.max(0, ...lifetimes.map((l) => l.bytes)) };
  }

  /**
   * Plans, allocates, compiles the kernels (in parallel) and makes every bind group. After a failure the program is
   * destroyed. @throws ClipCapError `out-of-memory`, `validation`, `device-lost`, `device-closed`.
   */
  async compile(options: CompileOptions = {}): Promise<this> {
    this.ensureRecording("compile");
    const start = performance.now();
    try {
      const kernels = this.dispatches.map((d) => this.device.kernel(d.kernel, d.label));
      const { plan, largestBinding } = this.measure(options);
      this.checkBinding(largestBinding);
      this.plan = plan;
      const copies = planCopies(this.dispatches);
      this.takeMemory(plan.arenas, textureSize(copies.filter((t) => t !== undefined)), options.arenas);
      this.uniforms = new Uniforms(this.device, this.label, this.dispatches);
      const compiled = await this.device.wait(Promise.all(kernels));
      const view = this.texture?.createView({ label: `${this.label}.texture` });
      this.encoded = this.dispatches.map((d, i) => {
        const { pipeline, layout } = compiled[i]!;
        const matrix = copies[i];
        const copy = matrix && copyTo(this.texture!, matrix, this.place(matrix));
        return { pipeline, bindGroup: this.bind(d, layout, i, view), workgroups: d.workgroups, copy };
      });
      await this.device.settle();
      this.device.recorder?.compiled(this, start);
      return this;
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  private takeMemory(
    sizes: readonly number[],
    texels: readonly [width: number, height: number] | undefined,
    shared: Arenas | undefined,
  ): void {
    this.ownsArenas = shared === undefined;
    if (shared) {
      this.arenas = shared.take(sizes);
      this.texture = texels && shared.texture(texels);
      return;
    }
    const arenas: GPUBuffer[] = [];
    this.arenas = arenas; // what is there is released should a later one fail
    for (const [i, bytes] of sizes.entries()) {
      arenas.push(this.device.buffer(`${this.label}.arena${i}`, bytes, this.label));
    }
    this.texture = texels && this.device.texture(`${this.label}.texture`, texels, this.label);
  }

  /**
   * Encodes and submits all dispatches; returns at once. Scalars keep their last value when not given.
   * `reads` are copied at the end of this run, so that later runs may overwrite them; see `Reading`.
   */
  run(values: Readonly<Record<string, number>> = {}, reads: readonly Tensor[] = []): Reading {
    const { device } = this;
    device.ensureOpen();
    if (!this.uniforms) throw new Error(`${this.label} is not compiled, or was destroyed`);
    this.uniforms.set(values);
    const copies = reads.map((tensor) => {
      const { buffer, offset } = this.place(tensor);
      if (tensor.storage.kind === "transient" && !this.kept.has(tensor.storage)) {
        throw new TypeError(`${this.label}: ${tensor.label} cannot be read after a run unless it is kept`);
      }
      const bytes = Math.ceil(byteLength(tensor.dtype, tensor.size) / 4) * 4;
      return { buffer, offset, staging: device.takeStaging(bytes), bytes, tensor };
    });
    const encode = (encoder: GPUCommandEncoder) => {
      if (!device.recorder?.encode(encoder, this, values)) encodeDispatches(encoder, this.label, this.encoded);
      for (const c of copies) encoder.copyBufferToBuffer(c.buffer, c.offset, c.staging, 0, c.bytes);
    };
    device.submit(this.label, encode, (message) => this.blame(message));
    device.counters.dispatches += this.encoded.length;
    return new Reading(device, copies);
  }

  /** WebGPU's message names objects by their labels; the first dispatch that uses one of them goes in front of it. */
  private blame(message: string): string {
    const mentioned = (name: string) => message.includes(`"${name}"`);
    const culprit = this.dispatches.find(
      (d) => mentioned(nameOf(d)) || Object.values(d.tensors).some((t) => mentioned(whole(t).label)),
    );
    return culprit ? `${this.label}: kernel ${nameOf(culprit)}: ${message}` : `${this.label}: ${message}`;
  }

  /** Buffers and offsets of the plan, for tests that fill and check the bytes between values. */
  layout(): { arenas: readonly GPUBuffer[]; values: readonly { tensor: Tensor; arena: number; offset: number }[] } {
    const placements = this.plan?.placements ?? [];
    return { arenas: this.arenas, values: this.transients.map((tensor, i) => ({ tensor, ...placements[i]! })) };
  }

  /** Frees what it allocated, its persistent tensors included. */
  destroy(): void {
    if (this.ownsArenas) for (const taken of [...this.arenas, this.texture]) if (taken) this.device.release(taken);
    this.arenas = [];
    this.texture = undefined;
    this.uniforms?.free();
    for (const tensor of this.owned.splice(0)) this.device.free(tensor);
    this.encoded = [];
    this.uniforms = undefined;
  }

  private ensureRecording(what: string): void {
    if (this.plan) throw new Error(`${this.label}: ${what} comes after compile; record all of a program before`);
  }

  private checkBinding(largest: number): void {
    const { maxBindingBytes } = this.device.limits;
    if (largest <= maxBindingBytes) return;
    const big = this.transients.find((t) => t.storage.kind === "transient" && t.storage.bytes === largest);
    throw new ClipCapError(
      "out-of-memory",
      `${this.label}: ${big?.label} [${big?.shape}] takes ${mebibytes(largest)}, above this device's binding limit of ` +
        `${mebibytes(maxBindingBytes)}; use a smaller batch`,
    );
  }

  private lifetimes(): Lifetime[] {
    const first = new Map<unknown, number>();
    const last = new Map<unknown, number>();
    this.dispatches.forEach((d, i) => {
      for (const t of Object.values(d.tensors)) {
        const { storage } = whole(t);
        if (!first.has(storage)) first.set(storage, i);
        last.set(storage, i);
      }
    });
    for (const storage of this.kept) last.set(storage, this.dispatches.length);
    return this.transients.map(({ storage, label }) => ({
      label,
      bytes: storage.kind === "transient" ? storage.bytes : 0,
      first: first.get(storage) ?? 0,
      last: last.get(storage) ?? 0,
    }));
  }

  private conflicts(): Conflict[] {
    const pairs: Conflict[] = [];
    for (const d of this.dispatches) {
      const bound = d.kernel.bindings.map((b) => ({ ...b, id: this.index.get(whole(d.tensors[b.name]!).storage) }));
      for (const w of bound) {
        for (const r of bound) {
          if (w.access !== "read_write" || r.access !== "read" || w.id === undefined || r.id === undefined) continue;
          if (w.id === r.id) throw new TypeError(`${nameOf(d)}: ${r.name} and ${w.name} are one value`);
          pairs.push([w.id, r.id]);
        }
      }
    }
    return pairs;
  }

  private bind(d: Dispatch, layout: GPUBindGroupLayout, index: number, view: GPUTextureView | undefined): GPUBindGroup {
    const { device } = this;
    const bound = d.kernel.bindings.map(({ name, access }) =>
      access === "texture" ? view! : this.place(d.tensors[name]!),
    );
    const entries = [this.uniforms!.place(index), ...bound].map((resource, binding) => ({ binding, resource }));
    device.counters.bindGroups++;
    return device.checked(
      (message) => `${this.label}: kernel ${nameOf(d)}: ${message}`,
      () => device.gpu.createBindGroup({ label: nameOf(d), layout, entries }),
    );
  }

  private place(bound: Tensor | TensorPart): { buffer: GPUBuffer; offset: number; size?: number } {
    const tensor = whole(bound);
    const { storage } = tensor;
    if (storage.kind === "buffers") {
      const part = "part" in bound ? bound.part : 0;
      if (!("part" in bound) && storage.parts.length > 1) {
        throw new RangeError(`${tensor.label} is split in ${storage.parts.length}; bind its parts one by one`);
      }
      const { buffer, offset, bytes } = storage.parts[part]!;
      return { buffer, offset, size: bytes };
    }
    if (storage.program !== this) throw new TypeError(`${tensor.label} belongs to ${storage.program.label}`);
    const { arena, offset } = this.plan!.placements[this.index.get(storage)!]!;
    return { buffer: this.arenas[arena]!, offset, size: storage.bytes };
  }
}

/** As in bind group labels, errors and timelines: `matmul.nt.lane8.r24 gpt2.h3.c_fc`. */
function nameOf({ kernel, label }: Dispatch): string {
  return `${kernel.name} ${label}`;
}
