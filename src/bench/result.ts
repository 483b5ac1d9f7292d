import type { DeviceLimits } from "../runtime/adapter.js";
import type { Timing } from "./node-timing.js";
import type { Peaks } from "./peaks.js";

/** One line of a report. Rates and shares are left out where they mean nothing. */
export interface Result {
  readonly kernel: string;
  readonly variant: string;
  readonly shape: string;
  readonly dtype: string;
  readonly median_ms: number;
  readonly p95_ms: number;
  readonly best_ms: number;
  /** Processor time of the process per run: on a CPU adapter the wall time of c free cores is at least this / c. */
  readonly cpu_ms?: number;
  readonly other_load?: number;
  readonly gflops?: number;
  readonly gbs?: number;
  /** The larger of gflops and gbs over the device's measured peaks. */
  readonly of_peak?: number;
  /** The values at the timed size agree with an f64 reference; absent where the tests prove it. */
  readonly verified?: boolean;
}

/** A kernel's line; all rates are there. */
export interface KernelResult extends Result {
  /** 0 for what only moves bytes. */
  readonly gflops: number;
  readonly gbs: number;
  readonly of_peak: number;
  readonly verified: boolean;
  /** Normalised squared error against f64, of all values or of a sample. */
  readonly error: number;
  /** Arithmetic and bytes of one pass; bytes count each bound value once. */
  readonly flops: number;
  readonly bytes: number;
  readonly dispatches: number;
  /** Submits that were timed. */
  readonly runs: number;
  /** Median by the GPU's clock; absent where the device has no timestamps. */
  readonly gpu_ms?: number;
  /** The device takes this variant by itself at this shape. */
  readonly chosen: boolean;
}

/** Where and when a report was made. */
export interface ReportHead {
  readonly adapter: string;
  readonly driver: string;
  readonly toggles: readonly string[];
  /** Digest of the measured choices of kernels (`clipcap tune`), null where the usual ones were taken. */
  readonly tuned: string | null;
  readonly limits: DeviceLimits;
  readonly commit: string;
  readonly date: string;
  readonly peaks: Peaks;
  /** Cores that other processes kept busy while this report was made; wall times are only good when it is near 0. */
  readonly other_load: number;
}

/** What `clipcap bench` writes. */
export interface KernelReport extends ReportHead {
  /** What `median_ms` is, in words. */
  readonly clock: string;
  /** Words that the names of the cases had to have; absent where all were measured. */
  readonly pattern?: string;
  /** Ended by Ctrl-C, or with the device: what was measured until then. */
  readonly interrupted?: boolean;
  readonly results: readonly KernelResult[];
}

export function result(
  what: Pick<Result, "kernel" | "variant" | "shape" | "dtype"> & Partial<Result>,
  timing: Timing,
  work: { readonly flops?: number; readonly bytes?: number; readonly peaks?: Peaks } = {},
): Result {
  const perMs = (n: number | undefined) => (n ? round(n / timing.median / 1e6) : undefined);
  const [gflops, gbs] = [perMs(work.flops), perMs(work.bytes)];
  const ofPeak = work.peaks && Math.max((gflops ?? 0) / work.peaks.gflops, (gbs ?? 0) / work.peaks.gbs);
  return {
    ...what,
    median_ms: round(timing.median),
    p95_ms: round(timing.p95),
    best_ms: round(timing.best),
    cpu_ms: round(timing.cpu),
    other_load: round(timing.otherLoad, 2),
    gflops,
    gbs,
    of_peak: ofPeak === undefined ? undefined : round(ofPeak),
  };
}

export function round(n: number, digits = 4): number {
  return Number(n.toPrecision(digits));
}

export function fixed(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(4);
}
