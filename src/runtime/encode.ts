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
  const last =
    timestamps &&
    Math.max(
      0,
      dispatches.findLastIndex(({ copy }) => copy),
    );
  let pass: GPUComputePassEncoder | undefined;
  let current: GPUComputePipeline | undefined;
  for (let i = 0; i < dispatches.length; i++) {
    const { pipeline, bindGroup, workgroups, copy } = dispatches[i]!;
    if (!pass || copy) {
      pass?.end();
      if (copy) encoder.copyBufferToTexture(copy.from, copy.to, copy.size);
      pass = encoder.beginComputePass({
        label,
        timestampWrites: timestamps && partOf(timestamps, i === 0, i === last),
      });
      current = undefined;
    }
    if (pipeline !== current) pass.setPipeline((current = pipeline));
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(...workgroups);
  }
  pass?.end();
}

function partOf(
  { querySet, beginningOfPassWriteIndex, endOfPassWriteIndex }: GPUComputePassTimestampWrites,
  first: boolean,
  last: boolean,
): GPUComputePassTimestampWrites | undefined {
  if (!first && !last) return undefined;
  return { querySet, ...(first && { beginningOfPassWriteIndex }), ...(last && { endOfPassWriteIndex }) };
}
