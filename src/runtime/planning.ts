import { Device } from "./device.js";

/** A device with the limits and kernels of `like` that only counts: `memory()` says what the same calls would take there. */
export function planningDevice(like: Device): Device {
  const device = new Device(planningGpu(like.gpu.limits), like.adapter, {});
  device.lanes = like.lanes;
  device.textures = like.textures;
  device.tuned = like.tuned;
  return device;
}

/** Takes no memory and computes nothing; what is read from it is zero. */
function planningGpu(limits: GPUSupportedLimits): GPUDevice {
  const ended: Promise<never> = new Promise(() => {});
  const pass = { setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} };
  const gpu = {
    limits,
    features: new Set(),
    lost: ended,
    addEventListener() {},
    destroy() {},
    pushErrorScope() {},
    popErrorScope: async () => null,
    createBuffer: ({ size }: GPUBufferDescriptor) => ({
      size,
      mapAsync: async () => {},
      getMappedRange: (_offset: number, bytes: number) => new ArrayBuffer(bytes),
      unmap() {},
      destroy() {},
    }),
    createTexture: ({ size }: GPUTextureDescriptor) => {
      const [width, height] = size as [number, number];
      return { width, height, createView: () => ({}), destroy() {} };
    },
    createShaderModule: () => ({}),
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createBindGroup: () => ({}),
    createComputePipelineAsync: async () => ({}),
    createCommandEncoder: () => ({
      beginComputePass: () => pass,
      copyBufferToBuffer() {},
      copyBufferToTexture() {},
      finish: () => ({}),
    }),
    queue: { writeBuffer() {}, submit() {}, onSubmittedWorkDone: async () => {} },
  };
  return gpu as unknown as GPUDevice;
}
