// npm run bench:peers [-- pattern]: the same work, from the same values, by this project and by other libraries that
// compute on WebGPU or on the CPU, in Node or (--browser) in Chromium. They take turns, each in a process or browser of
// its own; results that differ are not timed.
import { parseArgs } from "node:util";
import { machineOf } from "../../src/bench/node-head.js";
import { quantile } from "../../src/bench/node-timing.js";
import { measurePeaks, type Peaks } from "../../src/bench/peaks.js";
import { fixed, type ReportHead } from "../../src/bench/result.js";
import { togglesOf } from "../../src/node/dawn.js";
import { openDevice } from "../../src/node.js";
import type { Device } from "../../src/runtime/device.js";
import { printTable, save } from "../report.js";
import { BROWSER_CASES, CASES, shapeOf } from "./cases.js";
import { inNode, torch } from "./child.js";
import { type Absence, type Comparison, compareAll, type Turns } from "./compare.js";
import type { Contestant } from "./peer.js";
import { openSite } from "./tab.js";

interface PeerReport extends Omit<ReportHead, "peaks"> {
  /** Measured in Node alone. */
  readonly peaks?: Peaks;
  readonly turns: Turns;
  readonly comparisons: readonly Comparison[];
  readonly absences: readonly Absence[];
}

/** Where libraries run: what they are compared on, and what the report says of it. */
interface Place {
  /** Of the report's file name. */
  readonly name: "peers" | "peers-browser";
  readonly device: Pick<Device, "adapter" | "limits">;
  readonly toggles: readonly string[];
  readonly peaks?: Peaks;
  readonly ours: Contestant;
  readonly others: readonly Contestant[];
  readonly close: () => Promise<void> | void;
}

async function node(): Promise<Place> {
  const device = await openDevice();
  return {
    name: "peers",
    device,
    toggles: togglesOf(device),
    peaks: await measurePeaks(device),
    ours: inNode("clipcap-webgpu", "ours"),
    others: [
      inNode("onnxruntime webgpu", "ort-webgpu"),
      inNode("onnxruntime cpu", "ort-cpu"),
      inNode("tfjs-webgpu", "tfjs"),
      inNode("jax-js", "jax"),
      torch("cpu"),
      torch("cuda"),
    ],
    close: () => device.close(),
  };
}

async function browser(): Promise<Place> {
  const site = await openSite();
  return {
    name: "peers-browser",
    device: await site.device(),
    toggles: [],
    ours: site.inChromium("clipcap-webgpu", "ours"),
    others: [
      site.inChromium("onnxruntime-web webgpu", "ort-webgpu"),
      site.inChromium("onnxruntime-web wasm", "ort-wasm"),
      site.inChromium("tfjs-webgpu", "tfjs"),
      site.inChromium("jax-js", "jax"),
    ],
    close: () => site.close(),
  };
}

function print(comparisons: readonly Comparison[], absences: readonly Absence[]): void {
  const rows = comparisons.map(({ ours, theirs, ratio, ...c }) => [
    c.case,
    c.shape,
    c.peer,
    `${fixed(theirs.median_ms)} (${fixed(theirs.best_ms)} - ${fixed(theirs.p95_ms)})`,
    `${fixed(ours.median_ms)} (${fixed(ours.best_ms)} - ${fixed(ours.p95_ms)})`,
    `x ${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} - ${ratio.max.toFixed(2)})`,
    c.cpu_ratio === undefined ? "" : `x ${c.cpu_ratio.toFixed(2)}`,
    c.max_error.toExponential(1),
  ]);
  const head = ["case", "shape", "peer", "theirs, ms (best - p95)", "ours, ms", "theirs / ours", "cpu", "difference"];
  printTable([head, ...rows]);
  if (absences.length > 0) printTable([["not compared", "", ""], ...absences.map((a) => [a.peer, a.case, a.reason])]);
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: "string", default: "9" },
    ms: { type: "string", default: "100" },
    browser: { type: "boolean", default: false },
  },
});
const turns = { pairs: Number(options.pairs), ms: Number(options.ms) };
if (!(Number.isInteger(turns.pairs) && turns.pairs > 0 && turns.ms >= 0)) {
  console.error(`--pairs ${options.pairs} must be a whole number above 0, and --ms ${options.ms} a time`);
  process.exit(2);
}
const pattern = positionals.join(" ").toLowerCase();
const all = options.browser ? BROWSER_CASES : CASES;
const cases = all.filter((c) => `${c.type} ${shapeOf(c)}`.toLowerCase().includes(pattern));
if (cases.length === 0) {
  console.error(`no case has "${pattern}" in it; they are: ${all.map((c) => `${c.type} ${shapeOf(c)}`).join("; ")}`);
  process.exit(2);
}
const place = await (options.browser ? browser() : node());
const absences: Absence[] = [];
const comparisons = await compareAll(cases, place.ours, place.others, turns, absences);
print(comparisons, absences);
const others = comparisons.map(({ theirs }) => theirs.other_load ?? 0);
const report: PeerReport = {
  ...machineOf(place.device, place.toggles, others.length > 0 ? quantile(others, 0.5) : 0),
  peaks: place.peaks,
  turns,
  comparisons,
  absences,
};
save(pattern ? `${place.name}-${pattern}` : place.name, report);
await place.close();
