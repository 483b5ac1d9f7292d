import type { Device } from "./device.js";
import { type Encoded, encodeDispatches } from "./encode.js";
import { Timestamps } from "./timestamps.js";

/** Beginning and end of each dispatch in turn, in milliseconds. */
export type DispatchTimes = Float64Array;

/** Encodes dispatches so that each of them is timed. */
export interface DispatchClock {
  /** `gpu`: the times have a zero of their own, which is not the host's. */
  readonly source: "gpu" | "host";
  /** The times come when the work is done; `encoder` is to be submitted at once. */
  encode(encoder: GPUCommandEncoder, label: string, dispatches: readonly Encoded[]): Promise<DispatchTimes>;
  /** Frees what no work in flight needs. */
  destroy(): void;
}

/** The GPU's own clock where this device has one that is fine enough, else the host's. */
export async function dispatchClock(device: Device): Promise<DispatchClock> {
  if (!device.gpu.features.has("timestamp-query")) return new CompletionClock(device);
  const clock = new TimestampClock(device);
  if (await clock.isFine()) return clock;
  clock.destroy();
  return new CompletionClock(device);
}

/** Dispatches with a query set in common. */
const TIMED_AT_ONCE = 2048;

/** Browsers, and Dawn unless told otherwise, round timestamps to multiples of this many nanoseconds, or coarser. */
const COARSE_NS = 65_536n;

/** A pass for each dispatch, with timestamps at both ends. */
class TimestampClock implements DispatchClock {
  readonly source = "gpu";
  /** Those that no work in flight writes to. */
  private readonly free: Timestamps[] = [];

  constructor(private readonly device: Device) {}

  async isFine(): Promise<boolean> {
    const stamps = this.take();
    this.device.submit("timestamps", (encoder) => {
      for (let i = 0; i < 4; i++) encoder.beginComputePass({ timestampWrites: stamps.writes(i) }).end();
      stamps.resolve(encoder, 4);
    });
    return (await this.read(stamps, 4)).some((t) => t % COARSE_NS !== 0n);
  }

  encode(encoder: GPUCommandEncoder, label: string, dispatches: readonly Encoded[]): Promise<DispatchTimes> {
    const parts: { readonly stamps: Timestamps; readonly count: number }[] = [];
    for (let start = 0; start < dispatches.length; start += TIMED_AT_ONCE) {
      const part = dispatches.slice(start, start + TIMED_AT_ONCE);
      const stamps = this.take();
      for (const [i, d] of part.entries()) encodeDispatches(encoder, label, [d], stamps.writes(i));
      stamps.resolve(encoder, part.length);
      parts.push({ stamps, count: part.length });
    }
    // A buffer may not be mapped before what writes to it is submitted; that happens before any promise's turn.
    const read = parts.map(({ stamps, count }) => Promise.resolve().then(() => this.read(stamps, count)));
    return Promise.all(read).then((all) =>
      Float64Array.from(
        all.flatMap((part) => [...part]),
        (ns) => Number(ns) / 1e6,
      ),
    );
  }

  destroy(): void {
    for (const stamps of this.free.splice(0)) stamps.destroy();
  }

  private take(): Timestamps {
    return this.free.pop() ?? new Timestamps(this.device, TIMED_AT_ONCE);
  }

  private async read(stamps: Timestamps, count: number): Promise<BigUint64Array> {
    const read = await stamps.read(count);
    this.free.push(stamps);
    return read;
  }
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

  destroy(): void {} // holds nothing
}
