import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { ReportHead } from "../src/bench/result.js";

const RESULTS = new URL("./results/", import.meta.url);

/** bench/results/<adapter>-<what>.<ending>, in letters, digits and "-". */
export function resultFile({ adapter }: Pick<ReportHead, "adapter">, what: string, ending = "json"): string {
  const name = `${adapter}-${what}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return fileURLToPath(new URL(`${name}.${ending}`, RESULTS));
}

export function save(what: string, report: Omit<ReportHead, "peaks">): void {
  const file = resultFile(report, what);
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 1)}\n`);
  console.log(`\n${file}; other processes kept ${report.other_load} cores busy`);
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
