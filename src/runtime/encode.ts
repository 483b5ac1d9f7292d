/** A dispatch, ready to be encoded. */
export interface Encoded {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
  /** What a texture binding of it needs; see texture.ts. */
  readonly copy?: BufferToTexture;
}

export interface BufferToTexture {
  readonly from: GPUTexelCopyBufferInfo;
  readonly to: GPUTexelCopyTextureInfo;
  /** Texels. */
  readonly size: readonly [width: number, height: number];
}

/**
 * Encodes dispatches in one compute pass, or in several where something must be copied between them. `timestamps` are
 * written where the first of them begins and the last ends.
 */
export function encodeDispatches(
  encoder: GPUCommandEncoder,
  label: string,
  dispatches: readonly Encoded[],
  timestamps?: GPUComputePassTimestampWrites,
): void {
  const ends = dispatches.flatMap(({ copy }, i) => (copy && i > 0 ? [i] : []));
  let start = 0;
  for (const [i, end] of [...ends, dispatches.length].entries()) {
    const copy = dispatches[start]?.copy;
    if (copy) encoder.copyBufferToTexture(copy.from, copy.to, copy.size);
    const timestampWrites = timestamps && partOf(timestamps, i === 0, i === ends.length);
    encodePass(encoder, { label, timestampWrites }, dispatches, start, end);
    start = end;
  }
}

function partOf(
  { querySet, beginningOfPassWriteIndex, endOfPassWriteIndex }: GPUComputePassTimestampWrites,
  first: boolean,
  last: boolean,
): GPUComputePassTimestampWrites | undefined {
  if (!first && !last) return undefined;
  return { querySet, ...(first && { beginningOfPassWriteIndex }), ...(last && { endOfPassWriteIndex }) };
}

function encodePass(
  encoder: GPUCommandEncoder,
  descriptor: GPUComputePassDescriptor,
  dispatches: readonly Encoded[],
  start: number,
  end: number,
): void {
  const pass = encoder.beginComputePass(descriptor);
  let current: GPUComputePipeline | undefined;
  for (let i = start; i < end; i++) {
    const { pipeline, bindGroup, workgroups } = dispatches[i]!;
    if (pipeline !== current) pass.setPipeline((current = pipeline));
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...workgroups);
  }
  pass.end();
}
