import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import type { Device } from "../src/runtime/device.js";
import type { Program } from "../src/runtime/program.js";
import { type Load, shares, type Timing } from "./measure.js";
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
  /** The limit that the project sets itself, in ms. */
  readonly limit_ms?: number;
}

/** A measured amount that is no time. */
export interface Amount {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly limit?: number;
}

/** Where and when a report was made. */
export interface ReportHead {
  readonly adapter: string;
  readonly driver: string;
  readonly toggles: readonly string[];
  readonly limits: Device["limits"];
  readonly commit: string;
  readonly date: string;
  readonly peaks: Peaks;
  /** Cores that other processes kept busy while this report was made; wall times are only good when it is near 0. */
  readonly other_load: number;
}

export interface Report extends ReportHead {
  readonly results: readonly Result[];
  readonly amounts: readonly Amount[];
}

const RESULTS = new URL("./results/", import.meta.url);

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

/** What was measured and where, for any report. */
export function headOf(device: Device, peaks: Peaks, otherCores: number): ReportHead {
  const { vendor, architecture, description } = device.adapter;
  return {
    adapter: [vendor, architecture].filter(Boolean).join(" ") || "unknown",
    driver: description,
    toggles: [],
    limits: device.limits,
    commit: commit(),
    date: new Date().toISOString(),
    peaks,
    other_load: round(otherCores, 2),
  };
}

/** Prints both tables and saves them. */
export function publish(
  what: string,
  device: Device,
  peaks: Peaks,
  load: Load,
  results: readonly Result[],
  amounts: readonly Amount[] = [],
): void {
  printResults(results);
  printAmounts(amounts);
  const report: Report = { ...headOf(device, peaks, load.otherCores), results, amounts };
  save(what, report);
}

/** Writes bench/results/<adapter>-<what>.json. */
export function save(what: string, report: ReportHead): void {
  const slug = `${report.adapter}-${what}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(new URL(`${slug}.json`, RESULTS), `${JSON.stringify(report, null, 1)}\n`);
  console.log(`\nbench/results/${slug}.json; other processes kept ${report.other_load} cores busy`);
}

/** The commit measured, with "+" when files that it holds were changed since. */
function commit(): string {
  const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no", "--", "src") !== "";
    return git("rev-parse", "--short=12", "HEAD") + (changed ? "+" : "");
  } catch {
    return "unknown";
  }
}

export function printResults(results: readonly Result[]): void {
  const rows = results.map((r) => [
    r.kernel,
    r.variant,
    r.shape,
    r.dtype,
    fixed(r.median_ms),
    fixed(r.p95_ms),
    r.cpu_ms === undefined ? "" : fixed(r.cpu_ms),
    r.gflops === undefined ? "" : r.gflops.toFixed(1),
    r.gbs === undefined ? "" : r.gbs.toFixed(1),
    r.of_peak === undefined ? "" : `${(100 * r.of_peak).toFixed(0)} %`,
    r.verified === undefined ? "" : r.verified ? "yes" : "NO",
    r.limit_ms === undefined ? "" : `${r.limit_ms}${r.median_ms > r.limit_ms ? " OVER" : ""}`,
  ]);
  const head = [
    "kernel",
    "variant",
    "shape",
    "type",
    "median",
    "p95",
    "cpu ms",
    "GFLOP/s",
    "GB/s",
    "peak",
    "ok",
    "limit",
  ];
  printTable([head, ...rows]);
}

function printAmounts(amounts: readonly Amount[]): void {
  const rows = amounts.map(({ name, value, unit, limit }) => [
    name,
    `${round(value)} ${unit}`,
    limit === undefined ? "" : `limit ${round(limit)}${value > limit ? " OVER" : ""}`,
  ]);
  if (rows.length > 0) printTable(rows);
}

export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map((r) => r[c]!.length)));
  console.log("");
  for (const row of rows)
    console.log(
      row
        .map((cell, c) => cell.padEnd(widths[c]!))
        .join("  ")
        .trimEnd(),
    );
}

export function fixed(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(4);
}

/** Which kernels a program's time goes to, beside its time as a whole. The program must have run once. */
export async function printShares(title: string, program: Program, wholeMs: number): Promise<void> {
  const all = await shares(program);
  const sum = all.reduce((ms, s) => ms + s.timing.median, 0);
  const rows = all
    .slice(0, 12)
    .map(({ kernel, label, workgroups, count, flops, timing: t }) => [
      `${count} x`,
      kernel,
      label,
      workgroups.join("x"),
      `${fixed(t.median)} ms`,
      `cpu ${fixed(t.cpu)}`,
      `${((100 * t.median) / sum).toFixed(1)} %`,
      flops > 0 ? `${(flops / t.median / 1e6).toFixed(1)} GFLOP/s` : "",
    ]);
  printTable(rows);
  const count = program.dispatches.length;
  console.log(`${title}: ${count} dispatches, sum of kernels ${fixed(sum)} ms, together ${fixed(wholeMs)} ms`);
}
