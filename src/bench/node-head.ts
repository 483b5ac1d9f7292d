import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { togglesOf } from "../node/dawn.js";
import type { Device } from "../runtime/device.js";
import type { Peaks } from "./peaks.js";
import { type ReportHead, round } from "./result.js";

/** The package's own folder, from src and from dist alike. */
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What was measured and where, for any report. */
export function headOf(device: Device, peaks: Peaks, otherCores: number): ReportHead {
  return { ...machineOf(device, togglesOf(device), otherCores), peaks };
}

/** The same where peaks are not measured. */
export function machineOf(
  { adapter, limits, tuned }: Pick<Device, "adapter" | "limits" | "tuned">,
  toggles: readonly string[],
  otherCores: number,
): Omit<ReportHead, "peaks"> {
  const { vendor, architecture, description } = adapter;
  return {
    adapter: [vendor, architecture].filter(Boolean).join(" ") || "unknown",
    driver: description,
    toggles,
    tuned: tuned?.digest ?? null,
    limits,
    commit: commit(),
    date: new Date().toISOString(),
    other_load: round(otherCores, 2),
  };
}

/**
 * The commit at work, with "+" when files that it holds in `paths` were changed since; the version of an installed package.
 */
export function commit(paths: readonly string[] = ["src"]): string {
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", ROOT, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    // Below node_modules git would speak of the project that this one is installed in.
    if (git("rev-parse", "--show-prefix") === "") {
      const changed = git("status", "--porcelain", "--untracked-files=no", "--", ...paths) !== "";
      return git("rev-parse", "--short=12", "HEAD") + (changed ? "+" : "");
    }
  } catch {} // no repository, or no git
  return `v${JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")).version}`;
}
