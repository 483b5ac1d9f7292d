/**
 * A GPUDevice that takes no memory and computes nothing; what is read from it is zero. Behind a `Device` it says what a
 * run would allocate, by the same code that would allocate it (see `Device.planning`).
 */
export function planningGpu(limits: GPUSupportedLimits): GPUDevice {
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
