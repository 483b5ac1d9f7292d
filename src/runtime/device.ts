import { type AdapterInfo, adapterInfo, type DeviceLimits, deviceLimits, raisedLimits } from "./adapter.js";
import { ClipCapError } from "./errors.js";
import { type CompiledKernel, compileKernel, type KernelSpec, TEXEL_FORMAT, wgsl } from "./kernel.js";
import { probeLanes } from "./lanes.js";
import { type Allocation, isOutOfMemory, MemoryLedger, type MemoryReport, mebibytes } from "./memory.js";
import type { DeviceOptions } from "./options.js";
import { type DType, elements, type Part, rowBytes, storageBytes, Tensor, type TensorOptions } from "./tensor.js";
import type { Recorder } from "./trace.js";
import type { Tuned } from "./tuned.js";

/** Objects created and work submitted so far; a steady step must leave the first three unchanged. */
export interface Counters {
  /** Textures included. */
  buffers: number;
  bindGroups: number;
  pipelines: number;
  dispatches: number;
  submits: number;
}

const BUFFER = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 } as const;

/** Larger staging buffers are not kept: tokens and logits come back at every step, whole weights once. */
const KEPT_STAGING = 16 * 2 ** 20;

/**
 * One GPU device: what it offers, the memory taken from it, its kernels and its end. Several may live at once.
 * Everything that waits for the GPU rejects with a named ClipCapError when the device is lost, closed, out of memory
 * or finds an invalid call.
 */
export class Device {
  readonly counters: Counters = { buffers: 0, bindGroups: 0, pipelines: 0, dispatches: 0, submits: 0 };
  readonly limits: DeviceLimits;
  /** Lanes of the fixed-size subgroup (4 or 8) on which the lane kernels were proved right, else 0. */
  lanes = 0;
  /** Lane kernels may read through textures (`texture` in kernel.ts). */
  textures = false;
  /** Is told of every dispatch, while somebody traces. */
  recorder: Recorder | undefined;
  /** Measured choices of kernels; whoever opens the device sets them, before anything is recorded. */
  tuned?: Tuned;
  private readonly ledger: MemoryLedger;
  private readonly kernels = new Map<string, { code: string; compiled: Promise<CompiledKernel> }>();
  private readonly staging = new Map<number, GPUBuffer[]>();
  private readonly waiters = new Set<(error: ClipCapError) => void>();
  /** Calls of which it is not known yet whether the GPU took them. */
  private readonly pending = new Set<Promise<void>>();
  /** What the GPU could not provide, until it is released. */
  private readonly shortages = new Map<Allocation, ClipCapError>();
  private failure: ClipCapError | undefined;
  private zeros: Tensor | undefined;

  /** Over an opened GPUDevice, without the kernels that have to be proved right first; `open` does all. */
  constructor(
    readonly gpu: GPUDevice,
    readonly adapter: AdapterInfo,
    private readonly options: DeviceOptions,
  ) {
    this.limits = deviceLimits(gpu.limits);
    const limit = options.maxMemory ?? (adapter.isCpu ? options.hostMemory : undefined);
    this.ledger = new MemoryLedger(limit ?? Number.POSITIVE_INFINITY);
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      if (isOutOfMemory(event.error)) this.fail(new ClipCapError("out-of-memory", event.error.message));
      else this.invalid(event.error.message);
    });
    gpu.lost.then((info) => {
      const reason = info.message.split("\n")[0] || info.reason; // the lines below are Dawn's own call stack
      this.fail(new ClipCapError("device-lost", `the GPU device was lost (${reason}); open a new one`));
    });
  }

  /**
   * Opens a device on the best adapter of `gpu` (`navigator.gpu`, or Dawn's in Node).
   * @throws ClipCapError `no-adapter` when there is none.
   */
  static async open(gpu: GPU, options: DeviceOptions = {}): Promise<Device> {
    const { maxMemory = 1 } = options;
    if (!(maxMemory > 0)) throw new ClipCapError("bad-usage", `maxMemory is ${maxMemory}; it must be bytes above 0`);
    const adapter = await gpu.requestAdapter({
      powerPreference: options.powerPreference ?? "high-performance",
      forceFallbackAdapter: options.forceFallbackAdapter,
    });
    if (!adapter) {
      throw new ClipCapError(
        "no-adapter",
        "no WebGPU adapter was found; install a GPU driver or a software one (Debian, Ubuntu: mesa-vulkan-drivers 24 or newer; " +
          "npm run setup does it in a clone)",
      );
    }
    const wanted: GPUFeatureName[] = options.timestamps ? ["subgroups", "timestamp-query"] : ["subgroups"];
    const described: GPUDeviceDescriptor = {
      label: "clipcap",
      requiredFeatures: options.features === "none" ? [] : wanted.filter((f) => adapter.features.has(f)),
      requiredLimits: options.limits === "default" ? {} : raisedLimits(adapter.limits),
    };
    const gpuDevice = await adapter.requestDevice(described).catch((cause) => {
      throw new ClipCapError("no-adapter", `the WebGPU adapter gives no device: ${cause.message}`, { cause });
    });
    const device = new Device(gpuDevice, adapterInfo(adapter.info), options);
    try {
      if (device.adapter.isCpu && gpuDevice.features.has("subgroups")) {
        const readable = !!gpu.wgslLanguageFeatures?.has("readonly_and_readwrite_storage_textures");
        const { lanes, textures } = await probeLanes(device, adapter.info, readable);
        device.lanes = lanes;
        device.textures = textures;
      }
      return device;
    } catch (error) {
      device.close();
      throw error;
    }
  }

  /** Four zeros, for bindings that a kernel has but a call leaves out. */
  get empty(): Tensor {
    return (this.zeros ??= this.tensor("empty", [4]));
  }

  /** A persistent tensor with buffers of its own, split between rows where one binding could not hold it. */
  tensor(label: string, shape: readonly number[], dtype: DType = "f32", options: TensorOptions = {}): Tensor {
    const rows = shape[0] ?? 1;
    const perRow = rowBytes(dtype, shape);
    const perPart = Math.max(1, Math.floor(this.limits.maxBindingBytes / Math.max(1, perRow)));
    if (perRow > this.limits.maxBindingBytes) {
      throw new ClipCapError(
        "out-of-memory",
        `one row of ${label} [${shape}] takes ${mebibytes(perRow)}, above this device's binding limit of ` +
          `${mebibytes(this.limits.maxBindingBytes)}`,
      );
    }
    const gradBytes = options.requiresGrad ? storageBytes("f32", elements(shape)) : 0;
    this.ledger.admit(label, storageBytes(dtype, elements(shape)) + gradBytes); // all parts or none
    const parts: Part[] = [];
    for (let start = 0; start < Math.max(1, rows); start += perPart) {
      const end = Math.min(rows, start + perPart);
      const bytes = storageBytes(dtype, (end - start) * elements(shape.slice(1)));
      parts.push({ buffer: this.buffer(label, bytes, options.account ?? label), offset: 0, bytes, start, end });
    }
    const grad = options.requiresGrad
      ? this.tensor(`${label}.grad`, shape, "f32", { account: options.account })
      : undefined;
    return new Tensor(label, shape, dtype, { kind: "buffers", parts, grad }, options.scale);
  }

  /** Writes rows of a persistent tensor from `row` on. `data` holds whole rows in the tensor's storage type. */
  write(tensor: Tensor, data: ArrayBufferView, row = 0): void {
    this.ensureOpen();
    if (tensor.storage.kind !== "buffers") throw new TypeError(`${tensor.label} lives inside a program`);
    if (!ArrayBuffer.isView(data)) throw new TypeError(`${tensor.label}: what is written must be a typed array`);
    const perRow = rowBytes(tensor.dtype, tensor.shape);
    const source = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const rows = tensor.shape.length === 0 ? 1 : source.byteLength / perRow;
    if (!Number.isInteger(rows) || row + rows > tensor.rows) {
      throw new RangeError(
        `${tensor.label} [${tensor.shape}] has rows of ${perRow} bytes; ${source.byteLength} bytes from row ${row} on ` +
          "are no whole rows of it",
      );
    }
    for (const part of tensor.storage.parts) {
      const start = Math.max(row, part.start);
      const end = Math.min(row + rows, part.end);
      if (start >= end) continue;
      const piece = source.subarray((start - row) * perRow, (end - row) * perRow);
      const offset = part.offset + (start - part.start) * perRow;
      this.checked(
        (why) => `writing ${tensor.label}: ${why}`,
        () => this.gpu.queue.writeBuffer(part.buffer, offset, padTo4(piece)),
      );
    }
  }

  /** A storage buffer in the ledger. That the GPU has no room is noticed by the next wait; `settle` waits for it. */
  buffer(label: string, bytes: number, account = label, usage: number = BUFFER.STORAGE): GPUBuffer {
    return this.allocate(label, bytes, account, usage | BUFFER.COPY_SRC | BUFFER.COPY_DST);
  }

  /** A texture for the bindings of that kind, 16 bytes a texel; in the ledger as buffers are. */
  texture(label: string, size: readonly [width: number, height: number], account = label): GPUTexture {
    const usage = 8 | 2; // GPUTextureUsage.STORAGE_BINDING and COPY_DST, which Node has no globals for
    return this.admitted(label, size[0] * size[1] * 16, account, () =>
      this.gpu.createTexture({ label, size: [...size], format: TEXEL_FORMAT, usage }),
    );
  }

  private allocate(label: string, bytes: number, account: string, usage: number): GPUBuffer {
    if (bytes > this.limits.maxBufferBytes) {
      throw new ClipCapError(
        "out-of-memory",
        `${label} needs one buffer of ${mebibytes(bytes)}; this device allows ${mebibytes(this.limits.maxBufferBytes)}`,
      );
    }
    return this.admitted(label, bytes, account, () => this.gpu.createBuffer({ label, size: bytes, usage }));
  }

  private admitted<T extends Allocation>(label: string, bytes: number, account: string, create: () => T): T {
    this.ensureOpen();
    this.ledger.admit(label, bytes);
    this.gpu.pushErrorScope("out-of-memory");
    const made = create();
    this.counters.buffers++;
    this.ledger.add(made, account, bytes);
    this.popScope(() => {
      if (!this.ledger.has(made)) return;
      const reason = `the GPU has no ${mebibytes(bytes)} left for ${label}; use a smaller model, batch or dtype`;
      this.shortages.set(made, new ClipCapError("out-of-memory", reason));
    });
    return made;
  }

  uniformBuffer(label: string, bytes: number): GPUBuffer {
    return this.buffer(label, bytes, "uniforms", BUFFER.UNIFORM);
  }

  release(allocation: Allocation): void {
    this.ledger.remove(allocation);
    this.shortages.delete(allocation);
    allocation.destroy();
  }

  free(tensor: Tensor): void {
    if (tensor.storage.kind === "buffers") {
      for (const part of tensor.storage.parts) this.release(part.buffer);
      if (tensor.storage.grad) this.free(tensor.storage.grad);
    }
    if (tensor.scale) this.free(tensor.scale);
  }

  /** Bytes in use, at the peak, and for each label. */
  memory(): MemoryReport {
    return this.ledger.report();
  }

  /** Compiles a kernel once; later calls return the same promise. `label` says in errors what it is needed for. */
  kernel(spec: KernelSpec, label?: string): Promise<CompiledKernel> {
    const code = wgsl(spec);
    const known = this.kernels.get(spec.name);
    if (known) {
      if (known.code !== code) throw new Error(`two kernels are called ${spec.name}`);
      return known.compiled;
    }
    this.ensureOpen();
    this.counters.pipelines++;
    const compiled = compileKernel(this.gpu, spec, code, label).catch((error) => {
      throw this.failure ?? error;
    });
    compiled.catch(() => {}); // whoever waits for it hears of the failure
    this.kernels.set(spec.name, { code, compiled });
    return compiled;
  }

  /**
   * Makes WebGPU calls; what they find invalid fails the device, since what waits for their results must not go on.
   * `explain` puts the words of this project in front of WebGPU's.
   */
  checked<T>(explain: (message: string) => string, calls: () => T): T {
    this.ensureOpen();
    this.gpu.pushErrorScope("validation");
    try {
      return calls();
    } finally {
      this.popScope((error) => this.invalid(explain(error.message)));
    }
  }

  private popScope(onError: (error: GPUError) => void): void {
    const outcome = this.gpu.popErrorScope().then(
      (error) => error && onError(error),
      () => {}, // the device is gone; `failure` says so
    );
    const done = outcome.then(() => void this.pending.delete(done));
    this.pending.add(done);
  }

  /** Encodes and submits. Errors come to whoever waits next, through `checked`. */
  submit(
    label: string,
    encode: (encoder: GPUCommandEncoder) => void,
    explain = (why: string) => `${label}: ${why}`,
  ): void {
    this.checked(explain, () => {
      const encoder = this.gpu.createCommandEncoder({ label });
      encode(encoder);
      this.gpu.queue.submit([encoder.finish()]);
      this.counters.submits++;
    });
  }

  /**
   * Waits until it is known that the GPU took all calls made so far; does not wait for its work.
   * @throws ClipCapError `out-of-memory`, as does every wait until what could not be allocated is released.
   */
  async settle(): Promise<void> {
    await this.wait(Promise.all(this.pending));
  }

  /** Waits until all submitted work is done. */
  async idle(): Promise<void> {
    this.ensureOpen();
    await this.wait(this.gpu.queue.onSubmittedWorkDone());
  }

  /** Awaits a GPU promise; rejects as soon as the device fails, and afterwards if it failed or lacked memory meanwhile. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    this.ensureOpen();
    const stop = this.adapter.isCpu ? this.options.whileWaiting?.() : undefined;
    let reject!: (error: ClipCapError) => void;
    const failed = new Promise<never>((_, r) => {
      reject = r;
    });
    this.waiters.add(reject);
    try {
      const value = await Promise.race([promise, failed]);
      this.ensureOpen();
      for (const shortage of this.shortages.values()) throw shortage;
      return value;
    } catch (error) {
      const [shortage] = this.shortages.values();
      throw this.failure ?? shortage ?? error;
    } finally {
      this.waiters.delete(reject);
      stop?.();
    }
  }

  /** A mappable buffer of at least `bytes`, kept for reuse: `takeStaging`, copy into it, then `mapStaging`. */
  takeStaging(bytes: number): GPUBuffer {
    const size = 2 ** Math.ceil(Math.log2(Math.max(256, bytes)));
    const free = this.staging.get(size)?.pop();
    if (free) return free;
    return this.allocate("staging", size, "staging", BUFFER.MAP_READ | BUFFER.COPY_DST);
  }

  /** Waits for the copy into a staging buffer, returns its bytes and gives the buffer back to the pool. */
  async mapStaging(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    await this.wait(buffer.mapAsync(1, 0, bytes)).catch((error) => {
      this.release(buffer); // it may be mapped
      throw error;
    });
    const copy = buffer.getMappedRange(0, bytes).slice(0);
    buffer.unmap();
    const pool = this.staging.get(buffer.size);
    if (buffer.size > KEPT_STAGING) this.release(buffer);
    else if (pool) pool.push(buffer);
    else this.staging.set(buffer.size, [buffer]);
    return copy;
  }

  /** The contents of a persistent tensor in its storage type. */
  async read(tensor: Tensor): Promise<ArrayBuffer> {
    this.ensureOpen();
    if (tensor.storage.kind !== "buffers") throw new TypeError(`${tensor.label} lives inside a program`);
    const perRow = rowBytes(tensor.dtype, tensor.shape);
    const out = new Uint8Array(Math.ceil(perRow * tensor.rows));
    for (const part of tensor.storage.parts) {
      const bytes = Math.ceil(((part.end - part.start) * perRow) / 4) * 4;
      const staging = this.takeStaging(bytes);
      this.submit(`read ${tensor.label}`, (e) => e.copyBufferToBuffer(part.buffer, part.offset, staging, 0, bytes));
      const piece = new Uint8Array(await this.mapStaging(staging, bytes));
      out.set(piece.subarray(0, out.length - part.start * perRow), part.start * perRow);
    }
    return out.buffer;
  }

  /** Frees everything. Calls that still wait reject with `device-closed`. */
  close(): void {
    if (this.failure?.code === "device-closed") return;
    this.fail(new ClipCapError("device-closed", "this device was closed; open a new one"));
    for (const allocation of this.ledger.all()) this.release(allocation);
    this.gpu.destroy();
  }

  /** @throws the error that ended this device, if it ended. */
  ensureOpen(): void {
    if (this.failure) throw this.failure;
  }

  private fail(error: ClipCapError): void {
    this.failure ??= error;
    for (const reject of this.waiters) reject(this.failure);
  }

  /** Calls on a buffer that the GPU could not provide are invalid too; then the shortage is what waits are told. */
  private invalid(message: string): void {
    if (this.shortages.size === 0) this.fail(new ClipCapError("validation", message));
  }
}

function padTo4(bytes: Uint8Array<ArrayBufferLike>): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength % 4 === 0) return bytes as Uint8Array<ArrayBuffer>;
  const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  padded.set(bytes);
  return padded;
}
