// npm run bench:peers [-- pattern]: the same work, from the same values, by this project and by other libraries that
// compute on WebGPU or on the CPU. They take turns, each in a process of its own; results that differ are not timed.
import { parseArgs } from "node:util";
import { headOf } from "../../src/bench/node-head.js";
import { quantile, stopwatch } from "../../src/bench/node-timing.js";
import { measurePeaks } from "../../src/bench/peaks.js";
import { fixed, type ReportHead, type Result, result, round } from "../../src/bench/result.js";
import { openDevice } from "../../src/node.js";
import { printTable, save } from "../report.js";
import { CASES, type Case, flopsOf, shapeOf } from "./cases.js";
import { Child, type Command, type Loaded } from "./child.js";
import { reasonOf, type Sample } from "./library.js";

const OURS: Command = { name: "clipcap-webgpu", file: "ours.ts" };
const PEERS: readonly Command[] = [
  { name: "onnxruntime webgpu", file: "ort.ts", args: ["webgpu"] },
  { name: "onnxruntime cpu", file: "ort.ts", args: ["cpu"] },
  { name: "tfjs-webgpu", file: "tfjs.ts" },
  { name: "jax-js", file: "jaxjs.ts" },
  { name: "torch cpu", file: "torch_peer.py" },
];
/** f32 sums of 3072 products in another order, through 12 layers, differ by about 1e-5 of the largest value. */
const MAX_ERROR = 1e-3;

/** Both sides of one case, and how many times as long the peer takes: of each pair of turns, so that noise hits both. */
interface Comparison {
  readonly case: string;
  readonly shape: string;
  readonly peer: string;
  /** Largest difference over the largest value of ours. Of decoding the tokens are compared, of training the losses. */
  readonly max_error: number;
  readonly ours: Result;
  readonly theirs: Result;
  readonly first_call_ms: { readonly ours: number; readonly theirs: number };
  readonly ratio: { readonly median: number; readonly min: number; readonly p95: number; readonly max: number };
  /** The same of processor time, on which other programs weigh less. */
  readonly cpu_ratio: number;
}

/** What could not be compared. */
interface Absence {
  readonly case: string;
  readonly peer: string;
  readonly reason: string;
}

interface PeerReport extends ReportHead {
  readonly turns: Turns;
  readonly comparisons: readonly Comparison[];
  readonly absences: readonly Absence[];
}

interface Turns {
  readonly pairs: number;
  /** A turn calls until this much time has passed. */
  readonly ms: number;
}

/** Ours is loaded already. */
async function compare(c: Case, own: Child, expected: Loaded, other: Child, turns: Turns): Promise<Comparison> {
  const got = await other.prepare(c);
  const error = largestError(got.values, expected.values);
  if (!(error <= MAX_ERROR))
    throw new Error(`its result differs by ${round(error, 2)} of the largest value; not timed`);
  const pairs: { own: Sample; other: Sample }[] = [];
  for (let i = 0; i < turns.pairs; i++) {
    pairs.push({ own: await own.sample(turns.ms), other: await other.sample(turns.ms) });
  }
  const ratios = pairs.map((pair) => pair.other.wall / pair.own.wall);
  const cpuRatios = pairs.map((pair) => pair.other.cpu / pair.own.cpu);
  return {
    case: c.type,
    shape: shapeOf(c),
    peer: other.name,
    max_error: round(error, 2),
    ours: line(
      c,
      own.name,
      pairs.map((pair) => pair.own),
    ),
    theirs: line(
      c,
      other.name,
      pairs.map((pair) => pair.other),
    ),
    first_call_ms: { ours: round(expected.firstMs), theirs: round(got.firstMs) },
    ratio: {
      median: round(quantile(ratios, 0.5)),
      min: round(Math.min(...ratios)),
      p95: round(quantile(ratios, 0.95)),
      max: round(Math.max(...ratios)),
    },
    cpu_ratio: round(quantile(cpuRatios, 0.5)),
  };
}

function line(c: Case, variant: string, samples: readonly Sample[]): Result {
  const stopped = stopwatch();
  for (const sample of samples) stopped.add(sample);
  const others = samples.map((s) => s.otherLoad);
  const timing = stopped.timing(others.length > 0 ? quantile(others, 0.5) : 0);
  return result({ kernel: c.type, variant, shape: shapeOf(c), dtype: "f32" }, timing, { flops: flopsOf(c) });
}

/** Largest difference over the largest expected value; infinite where the counts differ or something is NaN. */
function largestError(got: Float32Array, expected: Float32Array): number {
  let [error, largest] = [got.length === expected.length ? 0 : Number.POSITIVE_INFINITY, 0];
  for (const [i, value] of expected.entries()) {
    const difference = Math.abs(got[i]! - value);
    error = difference <= error ? error : Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    largest = Math.max(largest, Math.abs(value));
  }
  return error / largest;
}

/** The peers that start here; each of the others is reported once. */
async function openPeers(absences: Absence[]): Promise<Map<Command, Child>> {
  const open = new Map<Command, Child>();
  for (const peer of PEERS) {
    try {
      open.set(peer, await Child.open(peer));
    } catch (error) {
      absences.push({ case: "all", peer: peer.name, reason: reasonOf(error) });
    }
  }
  return open;
}

async function compareAll(cases: readonly Case[], turns: Turns, absences: Absence[]): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  const own = await Child.open(OURS);
  const peers = await openPeers(absences);
  for (const c of cases) {
    const expected = await own.prepare(c);
    for (const [command, open] of peers) {
      const name = `${c.type} ${shapeOf(c)}`;
      try {
        const peer = open.ended ? await Child.open(command) : open; // after a crash
        peers.set(command, peer);
        const comparison = await compare(c, own, expected, peer, turns);
        process.stderr.write(`${name}, ${peer.name}: x ${comparison.ratio.median}\n`);
        comparisons.push(comparison);
      } catch (error) {
        const reason = reasonOf(error);
        process.stderr.write(`${name}, ${open.name}: ${reason}\n`);
        absences.push({ case: name, peer: open.name, reason });
      }
    }
  }
  for (const child of [own, ...peers.values()]) child.close();
  return comparisons;
}

function print(comparisons: readonly Comparison[], absences: readonly Absence[]): void {
  const rows = comparisons.map(({ ours, theirs, ratio, ...c }) => [
    c.case,
    c.shape,
    c.peer,
    `${fixed(theirs.median_ms)} (${fixed(theirs.best_ms)} - ${fixed(theirs.p95_ms)})`,
    `${fixed(ours.median_ms)} (${fixed(ours.best_ms)} - ${fixed(ours.p95_ms)})`,
    `x ${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} - ${ratio.max.toFixed(2)})`,
    `x ${c.cpu_ratio.toFixed(2)}`,
    c.max_error.toExponential(1),
  ]);
  const head = ["case", "shape", "peer", "theirs, ms (best - p95)", "ours, ms", "theirs / ours", "cpu", "difference"];
  printTable([head, ...rows]);
  if (absences.length > 0) printTable([["not compared", "", ""], ...absences.map((a) => [a.peer, a.case, a.reason])]);
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { pairs: { type: "string", default: "9" }, ms: { type: "string", default: "100" } },
});
const turns = { pairs: Number(options.pairs), ms: Number(options.ms) };
if (!(Number.isInteger(turns.pairs) && turns.pairs > 0 && turns.ms >= 0)) {
  console.error(`--pairs ${options.pairs} must be a whole number above 0, and --ms ${options.ms} a time`);
  process.exit(2);
}
const pattern = positionals[0]?.toLowerCase() ?? "";
const cases = CASES.filter((c) => `${c.type} ${shapeOf(c)}`.toLowerCase().includes(pattern));
if (cases.length === 0) {
  console.error(`no case has "${pattern}" in it; they are: ${CASES.map((c) => `${c.type} ${shapeOf(c)}`).join("; ")}`);
  process.exit(2);
}
const absences: Absence[] = [];
const device = await openDevice();
const peaks = await measurePeaks(device);
const comparisons = await compareAll(cases, turns, absences);
print(comparisons, absences);
const others = comparisons.map(({ theirs }) => theirs.other_load ?? 0);
const report: PeerReport = {
  ...headOf(device, peaks, others.length > 0 ? quantile(others, 0.5) : 0),
  turns,
  comparisons,
  absences,
};
save(pattern ? "peers-part" : "peers", report);
device.close();
