import { ClipCapError } from "./errors.js";
import { bindGroupLayout, type KernelSpec, sourceExcerpt, wgsl } from "./kernel.js";
import { probeLanes } from "./lanes.js";
import { MemoryLedger, type MemoryReport, megabytes } from "./memory.js";
import { type DType, elements, type Part, rowBytes, storageBytes, Tensor } from "./tensor.js";

export interface DeviceOptions {
  /** `max` (default) asks for all that the adapter offers; `default` keeps to WebGPU's guaranteed limits. */
  readonly limits?: "max" | "default";
  /** `none` leaves every optional feature off: no subgroups, no timestamps. */
  readonly features?: "all" | "none";
  readonly powerPreference?: GPUPowerPreference;
  /** Take the software driver even where there is a GPU. */
  readonly forceFallbackAdapter?: boolean;
  /** Refuse allocations beyond this many bytes of GPU memory. Default: no limit but the adapter's. */
  readonly maxMemory?: number;
  /**
   * Called while the host waits for a CPU adapter; returns a function that ends it. The Node half passes a loop that
   * keeps Dawn's polling from taking a core away from the adapter (see node/dawn.ts).
   */
  readonly whileWaiting?: () => () => void;
}

/** What the adapter is, for messages, benchmark reports and the choice of kernels. */
export interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  /** A software rasteriser (lavapipe, SwiftShader): other kernels are fast there. */
  readonly isCpu: boolean;
}

export interface DeviceLimits {
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  readonly maxWorkgroupsPerDimension: number;
  readonly maxInvocations: number;
  readonly workgroupBytes: number;
  readonly storageAlignment: number;
  readonly uniformAlignment: number;
}

/** Objects created and work submitted so far; a steady step must leave the first three unchanged. */
export interface Counters {
  buffers: number;
  bindGroups: number;
  pipelines: number;
  dispatches: number;
  submits: number;
}

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const BUFFER = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 } as const;

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
  private readonly ledger: MemoryLedger;
  private readonly kernels = new Map<string, { code: string; compiled: Promise<CompiledKernel> }>();
  private readonly staging = new Map<number, GPUBuffer[]>();
  private readonly waiters = new Set<(error: ClipCapError) => void>();
  private allocations: Promise<ClipCapError | undefined>[] = [];
  private failure: ClipCapError | undefined;
  private zeros: Tensor | undefined;

  private constructor(
    readonly gpu: GPUDevice,
    readonly adapter: AdapterInfo,
    private readonly options: DeviceOptions,
  ) {
    const l = gpu.limits;
    this.limits = {
      maxBindingBytes: l.maxStorageBufferBindingSize,
      maxBufferBytes: l.maxBufferSize,
      maxWorkgroupsPerDimension: l.maxComputeWorkgroupsPerDimension,
      maxInvocations: l.maxComputeInvocationsPerWorkgroup,
      workgroupBytes: l.maxComputeWorkgroupStorageSize,
      storageAlignment: l.minStorageBufferOffsetAlignment,
      uniformAlignment: l.minUniformBufferOffsetAlignment,
    };
    this.ledger = new MemoryLedger(options.maxMemory ?? Number.POSITIVE_INFINITY);
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.fail(asClipCapError(event.error));
    });
    gpu.lost.then((info) => {
      this.fail(
        new ClipCapError("device-lost", `the GPU device was lost (${info.message || info.reason}); open a new one`),
      );
    });
  }

  /**
   * Opens a device on the best adapter of `gpu` (`navigator.gpu`, or Dawn's in Node).
   * @throws ClipCapError `no-adapter` when there is none.
   */
  static async open(gpu: GPU, options: DeviceOptions = {}): Promise<Device> {
    const adapter = await gpu.requestAdapter({
      powerPreference: options.powerPreference ?? "high-performance",
      forceFallbackAdapter: options.forceFallbackAdapter,
    });
    if (!adapter) {
      throw new ClipCapError(
        "no-adapter",
        "no WebGPU adapter was found; install a GPU driver, or a software one: npx tsx scripts/setup-driver.ts",
      );
    }
    const wanted = ["subgroups", "timestamp-query"] as const;
    const gpuDevice = await adapter.requestDevice({
      label: "clipcap",
      requiredFeatures: options.features === "none" ? [] : wanted.filter((f) => adapter.features.has(f)),
      requiredLimits: options.limits === "default" ? {} : raisedLimits(adapter.limits),
    });
    const { vendor, architecture, description } = adapter.info;
    const isCpu =
      adapter.info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader/i.test(`${architecture} ${description}`);
    const device = new Device(gpuDevice, { vendor, architecture, description, isCpu }, options);
    if (isCpu && gpuDevice.features.has("subgroups")) device.lanes = await probeLanes(device, adapter.info);
    return device;
  }

  get hasTimestamps(): boolean {
    return this.gpu.features.has("timestamp-query");
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
        `one row of ${label} [${shape}] takes ${megabytes(perRow)}, above this device's binding limit of ` +
          `${megabytes(this.limits.maxBindingBytes)}`,
      );
    }
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
    const perRow = rowBytes(tensor.dtype, tensor.shape);
    const source = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const rows = tensor.shape.length === 0 ? 1 : source.byteLength / perRow;
    for (const part of tensor.storage.parts) {
      const start = Math.max(row, part.start);
      const end = Math.min(row + rows, part.end);
      if (start >= end) continue;
      const piece = source.subarray((start - row) * perRow, (end - row) * perRow);
      this.gpu.queue.writeBuffer(part.buffer, part.offset + (start - part.start) * perRow, padTo4(piece));
    }
  }

  /** A storage buffer in the ledger. Failure is noticed by the next `settle()` or wait. */
  buffer(label: string, bytes: number, account = label, usage: number = BUFFER.STORAGE): GPUBuffer {
    this.ensureOpen();
    this.ledger.admit(label, bytes);
    if (bytes > this.limits.maxBufferBytes) {
      throw new ClipCapError(
        "out-of-memory",
        `${label} needs one buffer of ${megabytes(bytes)}; this device allows ${megabytes(this.limits.maxBufferBytes)}`,
      );
    }
    this.gpu.pushErrorScope("out-of-memory");
    const buffer = this.gpu.createBuffer({ label, size: bytes, usage: usage | BUFFER.COPY_SRC | BUFFER.COPY_DST });
    this.allocations.push(
      this.gpu.popErrorScope().then(
        (e) =>
          e ? new ClipCapError("out-of-memory", `the GPU has no ${megabytes(bytes)} left for ${label}`) : undefined,
        () => undefined, // the device is gone; `failure` says so
      ),
    );
    this.counters.buffers++;
    this.ledger.add(buffer, account, bytes);
    return buffer;
  }

  uniformBuffer(label: string, bytes: number): GPUBuffer {
    return this.buffer(label, bytes, "uniforms", BUFFER.UNIFORM);
  }

  release(buffer: GPUBuffer): void {
    this.ledger.remove(buffer);
    buffer.destroy();
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

  /** Compiles a kernel once; later calls return the same promise. */
  kernel(spec: KernelSpec): Promise<CompiledKernel> {
    const code = wgsl(spec);
    const known = this.kernels.get(spec.name);
    if (known) {
      if (known.code !== code) throw new Error(`two kernels are called ${spec.name}`);
      return known.compiled;
    }
    const compiled = this.compile(spec, code);
    compiled.catch(() => {}); // whoever waits for it hears of the failure
    this.kernels.set(spec.name, { code, compiled });
    return compiled;
  }

  private async compile(spec: KernelSpec, code: string): Promise<CompiledKernel> {
    this.counters.pipelines++;
    this.gpu.pushErrorScope("validation");
    const module = this.gpu.createShaderModule({ label: spec.name, code });
    const layout = this.gpu.createBindGroupLayout(bindGroupLayout(spec));
    const made = this.gpu.createComputePipelineAsync({
      label: spec.name,
      layout: this.gpu.createPipelineLayout({ label: spec.name, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    const [scope, pipeline] = await Promise.allSettled([this.gpu.popErrorScope(), made]);
    this.ensureOpen();
    if (pipeline.status === "fulfilled" && !(scope.status === "fulfilled" && scope.value)) {
      return { pipeline: pipeline.value, layout };
    }
    const { messages } = await module.getCompilationInfo();
    const fault = messages.find((m) => m.type === "error");
    const reason = scope.status === "fulfilled" ? scope.value?.message : String(scope.reason);
    throw new ClipCapError(
      "validation",
      fault
        ? `kernel ${spec.name}: ${fault.message} (line ${fault.lineNum})\n${sourceExcerpt(code, fault.lineNum)}`
        : `kernel ${spec.name}: ${reason ?? (pipeline.status === "rejected" ? String(pipeline.reason) : "invalid")}`,
    );
  }

  /** Waits for allocations made so far. @throws ClipCapError `out-of-memory`. */
  async settle(): Promise<void> {
    const pending = this.allocations;
    this.allocations = [];
    const failed = (await this.wait(Promise.all(pending))).find((e) => e);
    if (failed) throw failed;
  }

  /** Waits until all submitted work is done. */
  async idle(): Promise<void> {
    this.ensureOpen();
    await this.wait(this.gpu.queue.onSubmittedWorkDone());
  }

  /** Awaits a GPU promise; rejects as soon as the device fails, and afterwards if it failed meanwhile. */
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
      return value;
    } catch (error) {
      throw this.failure ?? error;
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
    this.ledger.admit("staging", size);
    const buffer = this.gpu.createBuffer({ label: "staging", size, usage: BUFFER.MAP_READ | BUFFER.COPY_DST });
    this.counters.buffers++;
    this.ledger.add(buffer, "staging", size);
    return buffer;
  }

  /** Waits for the copy into a staging buffer, returns its bytes and gives the buffer back to the pool. */
  async mapStaging(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    await this.wait(buffer.mapAsync(1, 0, bytes));
    const copy = buffer.getMappedRange(0, bytes).slice(0);
    buffer.unmap();
    const pool = this.staging.get(buffer.size);
    if (pool) pool.push(buffer);
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
      const encoder = this.gpu.createCommandEncoder({ label: `read ${tensor.label}` });
      encoder.copyBufferToBuffer(part.buffer, part.offset, staging, 0, bytes);
      this.gpu.queue.submit([encoder.finish()]);
      const piece = new Uint8Array(await this.mapStaging(staging, bytes));
      out.set(piece.subarray(0, out.length - part.start * perRow), part.start * perRow);
    }
    return out.buffer;
  }

  /** Frees everything. Calls that still wait reject with `device-closed`. */
  close(): void {
    if (this.failure?.code === "device-closed") return;
    this.fail(new ClipCapError("device-closed", "this device was closed; open a new one"));
    for (const buffer of this.ledger.all()) this.release(buffer);
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
}

export interface TensorOptions {
  /** The label under which `memory()` counts it; default: its own. */
  readonly account?: string;
  readonly scale?: Tensor;
  /** Also allocates its gradient. */
  readonly requiresGrad?: boolean;
}

function raisedLimits(limits: GPUSupportedLimits): Record<string, number> {
  const names = [
    "maxBufferSize",
    "maxStorageBufferBindingSize",
    "maxStorageBuffersPerShaderStage",
    "maxComputeWorkgroupStorageSize",
    "maxComputeInvocationsPerWorkgroup",
    "maxComputeWorkgroupSizeX",
  ] as const;
  return Object.fromEntries(names.map((name) => [name, limits[name]]));
}

function asClipCapError(error: GPUError): ClipCapError {
  const outOfMemory = /memory/i.test(error.constructor.name);
  return new ClipCapError(outOfMemory ? "out-of-memory" : "validation", error.message);
}

function padTo4(bytes: Uint8Array<ArrayBufferLike>): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength % 4 === 0) return bytes as Uint8Array<ArrayBuffer>;
  const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  padded.set(bytes);
  return padded;
}
