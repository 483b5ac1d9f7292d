// `npm run bench -- kernels [pattern] [options]`: clipcap bench, with its JSON kept in bench/results.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { KernelReport } from "../src/bench/result.js";
import { save } from "./report.js";

const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const FILE = fileURLToPath(new URL("./results/unnamed.json", import.meta.url));

const args = process.argv.slice(2);
const elsewhere = args.some((arg) => ["--list", "--compare", "--json"].includes(arg));
const json = elsewhere ? [] : ["--json", FILE];
const { status } = spawnSync(process.execPath, [CLI, "bench", ...args, ...json], { stdio: "inherit" });
if (existsSync(FILE)) {
  const report: KernelReport = JSON.parse(readFileSync(FILE, "utf8"));
  rmSync(FILE);
  save(report.pattern || report.interrupted ? "kernels-part" : "kernels", report);
}
process.exitCode = status ?? 1;
