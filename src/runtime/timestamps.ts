import type { Device } from "./device.js";

/** GPUBufferUsage.QUERY_RESOLVE, which Node has no global for. */
const QUERY_RESOLVE = 0x200;

/** The GPU's clock at both ends of compute passes, on a device with the feature "timestamp-query". */
export class Timestamps {
  private readonly queries: GPUQuerySet;
  private readonly resolved: GPUBuffer;
  private staging: GPUBuffer | undefined;

  /** @param passes that one encoding times at most; a query set holds 4096 timestamps, so 2048 */
  constructor(
    private readonly device: Device,
    passes: number,
  ) {
    this.queries = device.gpu.createQuerySet({ type: "timestamp", count: 2 * passes });
    this.resolved = device.buffer("timestamps", 16 * passes, "timestamps", QUERY_RESOLVE);
  }

  /** Of pass i. */
  writes(i: number): GPUComputePassTimestampWrites {
    return { querySet: this.queries, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
  }

  /** Encodes, behind the first `passes` passes, what `read` gives; of several encodings it is the last. */
  resolve(encoder: GPUCommandEncoder, passes: number): void {
    const bytes = 16 * passes;
    this.staging ??= this.device.takeStaging(bytes);
    encoder.resolveQuerySet(this.queries, 0, 2 * passes, this.resolved, 0);
    encoder.copyBufferToBuffer(this.resolved, 0, this.staging, 0, bytes);
  }

  /** Nanoseconds at the beginning and end of each pass in turn, once the encoder was submitted. */
  async read(passes: number): Promise<BigUint64Array> {
    const staging = this.staging!;
    this.staging = undefined;
    return new BigUint64Array(await this.device.mapStaging(staging, 16 * passes));
  }

  destroy(): void {
    this.queries.destroy();
    this.device.release(this.resolved);
  }
}
