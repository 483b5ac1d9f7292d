import type { ComparedReport, Comparison } from "../bench/compare.js";
import { fixed, type KernelReport, type KernelResult } from "../bench/result.js";
import { table } from "./table.js";

/** Where the times come from. */
export function headLines({ adapter, driver, toggles, commit, peaks, clock, other_load, interrupted }: KernelReport) {
  return [
    `${adapter}, ${driver}; ${commit}${toggles.length > 0 ? `; Dawn toggles: ${toggles.join(" ")}` : ""}`,
    `Peaks measured here: ${peaks.gflops.toPrecision(4)} GFLOP/s in f32, ${peaks.gbs.toPrecision(4)} GB/s copied`,
    `Times: ${clock}`,
    ...(other_load > 0.2 ? [`Other programs kept ${other_load} cores busy meanwhile: the times are too long.`] : []),
    ...(interrupted ? ["Interrupted: these are the cases that were measured before."] : []),
  ];
}

/** A * marks the variant that the device takes by itself. */
export function resultLines(results: readonly KernelResult[]): string[] {
  const head = ["kernel", "variant", "shape", "type", "ms", "p95", "gpu ms", "GFLOP/s", "GB/s", "of peak", "right"];
  const rows = results.map((r) => [
    r.kernel,
    `${r.variant}${r.chosen ? " *" : ""}`,
    r.shape,
    r.dtype,
    fixed(r.median_ms),
    fixed(r.p95_ms),
    r.gpu_ms === undefined ? "" : fixed(r.gpu_ms),
    r.gflops === 0 ? "" : r.gflops.toFixed(1),
    r.gbs.toFixed(1),
    `${(100 * r.of_peak).toFixed(0)} %`,
    r.verified ? "yes" : "NO",
  ]);
  return table(head, rows, 4);
}

export function comparisonLines(a: ComparedReport, b: ComparedReport, c: Comparison): string[] {
  const label = (r: ComparedReport) => `${r.file}: ${r.adapter}, ${r.driver}; ${r.commit}, ${r.date}`;
  const rows = c.times.map(({ name, a_ms, b_ms, ratio, low, high, verdict }) => [
    ...name,
    fixed(a_ms),
    fixed(b_ms),
    ratio.toFixed(2),
    `${low.toFixed(2)} - ${high.toFixed(2)}`,
    verdict,
  ]);
  const subject = c.times.every(({ name }) => name[3] === "ms")
    ? ["what", "model", "how", ""]
    : ["kernel", "variant", "shape", "type"];
  const only = (names: readonly (readonly string[])[], file: string) =>
    names.length === 0 ? [] : ["", `Only in ${file}:`, ...names.map((name) => `  ${name.join(" ")}`)];
  return [
    `A ${label(a)}`,
    `B ${label(b)}`,
    ...c.differences,
    ...(rows.length === 0
      ? ["The two have no time in common."]
      : ["", ...table([...subject, "A ms", "B ms", "B / A", "spread", "B is"], rows, 4)]),
    ...only(c.onlyA, a.file),
    ...only(c.onlyB, b.file),
  ];
}
