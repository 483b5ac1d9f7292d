// npm run bench [-- kernels|end-to-end [pattern] [options]]: clipcap bench, with what it measures kept in bench/results as
// <adapter>-<part>.json, and the page of curves beside it. Each part is a process of its own.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { EndToEndReport } from "../src/bench/end-to-end/measurement.js";
import type { KernelReport } from "../src/bench/result.js";
import { resultFile } from "./report.js";

const PARTS: Readonly<Record<string, readonly string[]>> = { kernels: [], "end-to-end": ["--end-to-end"] };
/** Runs that measure nothing, or say themselves where their results go. */
const ELSEWHERE = ["--list", "--compare", "--json"];

const at = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const [JSON_FILE, PAGE] = [at("results/unnamed.json"), at("results/unnamed.html")];

function run(part: string, args: readonly string[]): number {
  const files = args.some((arg) => ELSEWHERE.includes(arg)) ? [] : ["--json", JSON_FILE];
  const page = files.length > 0 && part === "end-to-end" && !args.includes("--html") ? ["--html", PAGE] : [];
  const command = [at("../dist/cli/main.js"), "bench", ...PARTS[part]!, ...args, ...files, ...page];
  const { status } = spawnSync(process.execPath, command, { stdio: "inherit" });
  if (existsSync(JSON_FILE)) keep(part);
  return status ?? 1;
}

/** Gives the files their names; what was measured in part is told from the whole. */
function keep(part: string): void {
  const report: KernelReport | EndToEndReport = JSON.parse(readFileSync(JSON_FILE, "utf8"));
  const whole = !report.pattern && !report.interrupted;
  for (const [file, ending] of [
    [JSON_FILE, "json"],
    [PAGE, "html"],
  ] as const) {
    if (!existsSync(file)) continue;
    const kept = resultFile(report, whole ? part : `${part}-part`, ending);
    renameSync(file, kept);
    console.log(kept);
  }
  console.log(`Other processes kept ${report.other_load} cores busy.`);
}

const [part, ...args] = process.argv.slice(2);
if (part !== undefined && !(part in PARTS)) {
  console.error(`there is no benchmark ${part}; give one of ${Object.keys(PARTS).join(", ")}, or nothing for all`);
  process.exit(2);
}
for (const file of [JSON_FILE, PAGE]) rmSync(file, { force: true });
for (const name of part ? [part] : Object.keys(PARTS)) {
  console.log(`\n${name}`);
  process.exitCode = run(name, args) || process.exitCode;
}
