import type { Device } from "./device.js";
import { type Encoded, encodeDispatches } from "./encode.js";

/** Beginning and end of each dispatch in turn, in milliseconds. */
export type DispatchTimes = Float64Array;

/** Encodes dispatches so that each of them is timed. */
export interface DispatchClock {
  /** `gpu`: the times have a zero of their own, which is not the host's. */
  readonly source: "gpu" | "host";
  /** The times come when the work is done; `encoder` is to be submitted at once. */
  encode(encoder: GPUCommandEncoder, label: string, dispatches: readonly Encoded[]): Promise<DispatchTimes>;
}

/** The GPU's own clock where this device has one that is fine enough, else the host's. */
export async function dispatchClock(device: Device): Promise<DispatchClock> {
  if (!device.gpu.features.has("timestamp-query")) return new CompletionClock(device);
  const clock = new TimestampClock(device);
  return (await clock.isFine()) ? clock : new CompletionClock(device);
}

/** Dispatches with a query set in common: it holds 4096 timestamps at most. */
const TIMED_AT_ONCE = 2048;

/** Browsers, and Dawn unless told otherwise, round timestamps to multiples of this many nanoseconds, or coarser. */
const COARSE_NS = 65_536n;

interface Queries {
  readonly set: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly staging: GPUBuffer;
}

/** A pass for each dispatch, with timestamps at both ends. */
class TimestampClock implements DispatchClock {
  readonly source = "gpu";
  /** Those that no work in flight writes to. */
  private readonly free: Queries[] = [];

  constructor(private readonly device: Device) {}

  async isFine(): Promise<boolean> {
    const queries = this.take();
    this.device.submit("timestamps", (encoder) => {
      for (let i = 0; i < 4; i++) encoder.beginComputePass({ timestampWrites: writes(queries, i) }).end();
      collect(encoder, queries, 4);
    });
    const stamps = await this.read(queries, 4);
    return stamps.some((t) => t % COARSE_NS !== 0n);
  }

  encode(encoder: GPUCommandEncoder, label: string, dispatches: readonly Encoded[]): Promise<DispatchTimes> {
    const parts: { readonly queries: Queries; readonly count: number }[] = [];
    for (let start = 0; start < dispatches.length; start += TIMED_AT_ONCE) {
      const part = dispatches.slice(start, start + TIMED_AT_ONCE);
      const queries = this.take();
      for (const [i, d] of part.entries()) encodeDispatches(encoder, label, [d], writes(queries, i));
      collect(encoder, queries, part.length);
      parts.push({ queries, count: part.length });
    }
    // A buffer may not be mapped before what writes to it is submitted; that happens before any promise's turn.
    const stamps = parts.map(({ queries, count }) => Promise.resolve().then(() => this.read(queries, count)));
    return Promise.all(stamps).then((all) =>
      Float64Array.from(
        all.flatMap((part) => [...part]),
        (ns) => Number(ns) / 1e6,
      ),
    );
  }

  private take(): Queries {
    const { gpu } = this.device;
    const size = 16 * TIMED_AT_ONCE;
    return (
      this.free.pop() ?? {
        set: gpu.createQuerySet({ type: "timestamp", count: 2 * TIMED_AT_ONCE }),
        resolved: gpu.createBuffer({ size, usage: 0x200 | 0x4 }), // QUERY_RESOLVE, COPY_SRC
        staging: gpu.createBuffer({ size, usage: 0x1 | 0x8 }), // MAP_READ, COPY_DST
      }
    );
  }

  private async read(queries: Queries, count: number): Promise<BigUint64Array> {
    const { staging } = queries;
    await this.device.wait(staging.mapAsync(1, 0, 16 * count));
    const stamps = new BigUint64Array(staging.getMappedRange(0, 16 * count).slice(0));
    staging.unmap();
    this.free.push(queries);
    return stamps;
  }
}

function writes({ set }: Queries, i: number): GPUComputePassTimestampWrites {
  return { querySet: set, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
}

function collect(encoder: GPUCommandEncoder, { set, resolved, staging }: Queries, count: number): void {
  encoder.resolveQuerySet(set, 0, 2 * count, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, staging, 0, 16 * count);
}

/**
 * A submit for each dispatch, with the host's clock read when it is done: as fine as the host's looks at the queue, some
 * 10 to 100 µs.
 */
class CompletionClock implements DispatchClock {
  readonly source = "host";

  constructor(private readonly device: Device) {}

  encode(_encoder: GPUCommandEncoder, label: string, dispatches: readonly Encoded[]): Promise<DispatchTimes> {
    const { device } = this;
    const done = dispatches.map(async (d): Promise<[begin: number, end: number]> => {
      const begin = performance.now();
      device.submit(label, (encoder) => encodeDispatches(encoder, label, [d]));
      await device.wait(device.gpu.queue.onSubmittedWorkDone());
      return [begin, performance.now()];
    });
    // One begins when it was submitted and the one before it is done.
    return Promise.all(done).then((pairs) =>
      Float64Array.from(pairs.flatMap(([begin, end], i) => [Math.max(begin, pairs[i - 1]?.[1] ?? 0), end])),
    );
  }
}
