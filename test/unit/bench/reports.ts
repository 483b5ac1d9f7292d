import type { KernelReport, KernelResult } from "../../../src/bench/result.js";

/** A line of a report. */
export function line(kernel: string, median: number, more: Partial<KernelResult> = {}): KernelResult {
  return {
    kernel,
    variant: "only",
    shape: "50 x 768",
    dtype: "f32",
    median_ms: median,
    p95_ms: 1.1 * median,
    best_ms: 0.9 * median,
    gflops: 20,
    gbs: 2,
    of_peak: 0.2,
    verified: true,
    error: 1e-14,
    flops: 2e7,
    bytes: 2e6,
    dispatches: 1,
    runs: 9,
    chosen: true,
    ...more,
  };
}

export function report(results: readonly KernelResult[], more: Partial<KernelReport> = {}): KernelReport {
  return {
    adapter: "mesa software",
    driver: "llvmpipe",
    toggles: [],
    tuned: null,
    limits: {
      maxBindingBytes: 134_217_728,
      maxBufferBytes: 4_294_967_295,
      maxWorkgroupsPerDimension: 65_535,
      maxInvocations: 1024,
      workgroupBytes: 32_768,
      storageAlignment: 256,
      uniformAlignment: 256,
    },
    commit: "0123456789ab",
    date: "2026-01-02T03:04:05.678Z",
    peaks: { gflops: 100, gbs: 20, copy_kernel_gbs: 10, copy_buffer_gbs: 20 },
    other_load: 0,
    clock: "wall time",
    results,
    ...more,
  };
}
