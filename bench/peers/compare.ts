// Ours and one other library at one case, in turns.
import { quantile, stopwatch } from "../../src/bench/node-timing.js";
import { type Result, result, round } from "../../src/bench/result.js";
import { type Case, flopsOf, shapeOf } from "./cases.js";
import { type Loaded, reasonOf } from "./library.js";
import type { Contestant, Peer, Sample } from "./peer.js";

/** f32 sums of 3072 products in another order, through 12 layers, differ by about 1e-5 of the largest value. */
const MAX_ERROR = 1e-3;

/** Of longer calls fewer pairs are taken: noise averages out within each, and nine pairs of 30 s take as many minutes. */
const SLOW_MS = 10_000;
const SLOW_PAIRS = 3;

/** Both sides of one case, and how many times as long the peer takes: of each pair of turns, so that noise hits both. */
export interface Comparison {
  readonly case: string;
  readonly shape: string;
  readonly peer: string;
  /** Largest difference over the largest value of ours; of training the losses are compared. Tokens must be equal. */
  readonly max_error: number;
  readonly ours: Result;
  readonly theirs: Result;
  readonly first_call_ms: { readonly ours: number; readonly theirs: number };
  readonly ratio: { readonly median: number; readonly min: number; readonly p95: number; readonly max: number };
  /** The same of processor time, on which other programs weigh less; absent where a turn took less than its clock counts. */
  readonly cpu_ratio?: number;
}

/** What could not be compared. */
export interface Absence {
  readonly case: string;
  readonly peer: string;
  readonly reason: string;
}

export interface Turns {
  readonly pairs: number;
  /** A turn calls until this much time has passed. */
  readonly ms: number;
}

/** Ours is loaded already. */
async function compare(c: Case, own: Peer, expected: Loaded, other: Peer, turns: Turns): Promise<Comparison> {
  const got = await other.prepare(c);
  const error = largestError(got.values, expected.values);
  if (c.type === "decode" && error > 0) throw new Error("its tokens differ; not timed");
  if (!(error <= MAX_ERROR))
    throw new Error(`its result differs by ${round(error, 2)} of the largest value; not timed`);
  const pairs = await takeTurns(own, other, turns);
  const ratios = pairs.map((pair) => pair.other.wall / pair.own.wall);
  const cpuRatio = quantile(
    pairs.map((pair) => pair.other.cpu / pair.own.cpu),
    0.5,
  );
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
    cpu_ratio: Number.isFinite(cpuRatio) ? round(cpuRatio) : undefined,
  };
}

async function takeTurns(own: Peer, other: Peer, { pairs: most, ms }: Turns) {
  const pairs: { readonly own: Sample; readonly other: Sample }[] = [];
  for (let count = most; pairs.length < count; ) {
    const pair = { own: await own.sample(ms), other: await other.sample(ms) };
    pairs.push(pair);
    if (Math.max(pair.own.wall, pair.other.wall) > SLOW_MS) count = Math.min(count, SLOW_PAIRS);
  }
  return pairs;
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
async function openPeers(peers: readonly Contestant[], absences: Absence[]): Promise<Map<Contestant, Peer>> {
  const open = new Map<Contestant, Peer>();
  for (const peer of peers) {
    try {
      open.set(peer, await peer.open());
    } catch (error) {
      absences.push({ case: "all", peer: peer.name, reason: reasonOf(error) });
    }
  }
  return open;
}

/** Every case with every peer; `absences` grows by what could not be compared. */
export async function compareAll(
  cases: readonly Case[],
  ours: Contestant,
  others: readonly Contestant[],
  turns: Turns,
  absences: Absence[],
): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  const own = await ours.open();
  const peers = await openPeers(others, absences);
  for (const c of cases) {
    const expected = await own.prepare(c);
    for (const [contestant, open] of peers) {
      const name = `${c.type} ${shapeOf(c)}`;
      try {
        const peer = open.ended ? await contestant.open() : open; // after a crash
        peers.set(contestant, peer);
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
  for (const peer of [own, ...peers.values()]) await peer.close();
  return comparisons;
}
