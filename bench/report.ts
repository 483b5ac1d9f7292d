import { mkdirSync, writeFileSync } from "node:fs";
import { headOf } from "../src/bench/node-head.js";
import type { Load } from "../src/bench/node-timing.js";
import type { Peaks } from "../src/bench/peaks.js";
import { shares } from "../src/bench/replay.js";
import { type Amount, fixed, type Report, type ReportHead, type Result, round } from "../src/bench/result.js";
import type { Device } from "../src/runtime/device.js";
import type { Program } from "../src/runtime/program.js";

const RESULTS = new URL("./results/", import.meta.url);

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
export function save(what: string, report: Omit<ReportHead, "peaks">): void {
  const slug = `${report.adapter}-${what}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(new URL(`${slug}.json`, RESULTS), `${JSON.stringify(report, null, 1)}\n`);
  console.log(`\nbench/results/${slug}.json; other processes kept ${report.other_load} cores busy`);
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
