import { execFileSync } from "node:child_process";
import type { Device } from "../runtime/device.js";
import type { Peaks } from "./peaks.js";
import { type ReportHead, round } from "./result.js";

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
