import type { Device } from "../runtime/device.js";

const BYTES = 16;
/** GPUBufferUsage.QUERY_RESOLVE and COPY_SRC; Node has no global of that name. */
const USAGE = 0x0200 | 0x0004;

/** The two timestamps around a compute pass. */
export class GpuClock {
  private readonly queries: GPUQuerySet;
  private readonly resolved: GPUBuffer;
  private staging: GPUBuffer | undefined;
  readonly writes: GPUComputePassTimestampWrites;

  private constructor(private readonly device: Device) {
    this.queries = device.gpu.createQuerySet({ type: "timestamp", count: 2 });
    this.resolved = device.gpu.createBuffer({ label: "timestamps", size: BYTES, usage: USAGE });
    this.writes = { querySet: this.queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
  }

  /** Nothing where the device was opened without timestamps, or has none. */
  static of(device: Device): GpuClock | undefined {
    return device.gpu.features.has("timestamp-query") ? new GpuClock(device) : undefined;
  }

  /** Encodes what `read` gives, behind the pass. */
  resolve(encoder: GPUCommandEncoder): void {
    this.staging ??= this.device.takeStaging(BYTES);
    encoder.resolveQuerySet(this.queries, 0, 2, this.resolved, 0);
    encoder.copyBufferToBuffer(this.resolved, 0, this.staging, 0, BYTES);
  }

  /** Milliseconds of the last pass; nothing where the driver gave no meaningful times. */
  async read(): Promise<number | undefined> {
    const [begin, end] = new BigUint64Array(await this.device.mapStaging(this.staging!, BYTES));
    this.staging = undefined;
    return end! > begin! ? Number(end! - begin!) / 1e6 : undefined;
  }

  destroy(): void {
    this.queries.destroy();
    this.resolved.destroy();
  }
}
