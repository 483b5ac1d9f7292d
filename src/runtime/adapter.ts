/** What the adapter is, for messages, benchmark reports and the choice of kernels. */
export interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  /** The adapter's own name, where the browser tells it. */
  readonly device: string;
  /** In Node the driver with its version. */
  readonly description: string;
  /** A software rasteriser (lavapipe, SwiftShader): other kernels are fast there. */
  readonly isCpu: boolean;
}

/** WebGPU's limits that matter here, under short names. */
export interface DeviceLimits {
  readonly maxBindingBytes: number;
  readonly maxBufferBytes: number;
  readonly maxWorkgroupsPerDimension: number;
  readonly maxInvocations: number;
  readonly workgroupBytes: number;
  readonly storageAlignment: number;
  readonly uniformAlignment: number;
}

/** What WebGPU tells of an adapter, and whether it computes on the CPU. */
export function adapterInfo(info: GPUAdapterInfo): AdapterInfo {
  const { vendor, architecture, device, description } = info;
  const isCpu =
    info.isFallbackAdapter || isSwiftShader(info) || /llvmpipe|lavapipe/i.test(`${architecture} ${description}`);
  return { vendor, architecture, device, description, isCpu };
}

/** Chromium's own software rasteriser. */
export function isSwiftShader({
  architecture,
  description,
}: Pick<AdapterInfo, "architecture" | "description">): boolean {
  return /swiftshader/i.test(`${architecture} ${description}`);
}

/** The limits of an adapter or a device. */
export function deviceLimits(limits: GPUSupportedLimits): DeviceLimits {
  return {
    maxBindingBytes: limits.maxStorageBufferBindingSize,
    maxBufferBytes: limits.maxBufferSize,
    maxWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    maxInvocations: limits.maxComputeInvocationsPerWorkgroup,
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    storageAlignment: limits.minStorageBufferOffsetAlignment,
    uniformAlignment: limits.minUniformBufferOffsetAlignment,
  };
}

/** All that the adapter has of the limits that matter here, instead of WebGPU's defaults. */
export function raisedLimits(limits: GPUSupportedLimits): Record<string, number> {
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
