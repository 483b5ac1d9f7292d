import { replay } from "../bench/replay.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { Program } from "../runtime/program.js";
import type { TuneCase, TuneVariant } from "./case.js";
import { matmulCases } from "./matmul-cases.js";
import { rowCases } from "./row-cases.js";
import { winner } from "./winner.js";

/** What the measurement of a class came to. */
export interface Found {
  /** The class, as the choice of kernels asks for it. */
  readonly of: string;
  readonly shape: string;
  readonly usual: string;
  readonly chosen: string;
  /** Times as fast as the usual variant; 1 where that stays. */
  readonly speedup: number;
  /** Variants that computed wrongly, or that the driver does not compile. */
  readonly wrong: readonly string[];
}

export interface TuneOptions {
  readonly signal: AbortSignal;
  /** Classes that are not reached within this time are not measured. */
  readonly seconds: number;
  /** Called before each class, with the number of those measured. */
  readonly onProgress?: (done: number, of: string) => void;
}

/** f32 sums of up to 4096 products come to about 1e-13; one wrong element in a row of 50,000 to 1e-6. */
const MAX_ERROR = 1e-9;
/** A lap lasts about this long, so that submitting and waiting (0.1-0.3 ms) weigh little. */
const LAP_MS = 8;
const MAX_REPEAT = 2000;
const ROUNDS = 7;
/** What is so many times slower than the fastest in the first round takes no further turns. */
const HOPELESS = 1.5;

/** All classes that have a choice on this device, the most used first. What a case needs lives until the next is asked for. */
export function* tuneCases(device: Device): Generator<TuneCase> {
  yield* rowCases(device);
  yield* matmulCases(device);
}

/**
 * Lets the variants of every class compete; each is admitted by a comparison of its output with an f64 reference at the
 * very shape. A class that the device has no memory for is left out.
 * @throws ClipCapError `aborted`; whatever ends the device
 */
export async function tune(device: Device, o: TuneOptions): Promise<Found[]> {
  const end = performance.now() + 1000 * o.seconds;
  const found: Found[] = [];
  for (const c of tuneCases(device)) {
    if (performance.now() > end) break;
    o.onProgress?.(found.length, c.of);
    try {
      found.push(await compete(device, c, o.signal));
    } catch (error) {
      device.ensureOpen();
      if (!(error instanceof ClipCapError && error.code === "out-of-memory")) throw error;
    }
  }
  return found;
}

/** A variant that computes rightly, and how often it runs in a lap. */
interface Runner {
  readonly name: string;
  readonly program: Program;
  readonly repeat: number;
}

/** Measures the variants of one class against each other. */
export async function compete(device: Device, c: TuneCase, signal: AbortSignal): Promise<Found> {
  const runners: Runner[] = [];
  try {
    for (const variant of c.variants) {
      goOn(signal);
      const runner = await admitted(device, c, variant);
      if (runner) runners.push(runner);
    }
    const usual = c.variants[0]!.name;
    const best = winner(usual, runners.length > 1 ? await race(runners, usual, signal) : new Map());
    const wrong = c.variants.map(({ name }) => name).filter((name) => runners.every((runner) => runner.name !== name));
    const chosen = best?.variant ?? runners[0]?.name ?? usual;
    return { of: c.of, shape: c.shape, usual, chosen, speedup: best?.speedup ?? 1, wrong };
  } finally {
    for (const { program } of runners) program.destroy();
  }
}

/** The variant with its program, or undefined where it computes wrongly or the driver refuses it. */
async function admitted(device: Device, c: TuneCase, variant: TuneVariant): Promise<Runner | undefined> {
  const program = new Program(device, "tune");
  try {
    const out = variant.record(program);
    program.keep(out);
    await program.compile();
    const [values] = await program.run({}, [out]).get();
    if (c.error(values!) <= MAX_ERROR) return { name: variant.name, program, repeat: await repeats(program) };
    program.destroy();
  } catch (error) {
    program.destroy();
    device.ensureOpen();
    if (!(error instanceof ClipCapError && error.code === "validation")) throw error;
  }
  return undefined;
}

/** How often a program runs in a lap. */
async function repeats(program: Program): Promise<number> {
  await lap(program, 1); // the driver may compile at the first dispatch
  let repeat = 1;
  for (let ms = await lap(program, 1); ms < LAP_MS / 2 && repeat < MAX_REPEAT; ms = await lap(program, repeat)) {
    repeat = Math.min(MAX_REPEAT, Math.max(2 * repeat, Math.floor((repeat * LAP_MS) / ms)));
  }
  return repeat;
}

/**
 * Times of one run in each round, by name, without the hopeless; the order turns round from round to round, so that a
 * drift favours nobody.
 */
async function race(runners: readonly Runner[], usual: string, signal: AbortSignal): Promise<Map<string, number[]>> {
  const laps = new Map<string, number[]>(runners.map(({ name }) => [name, []]));
  let turn = [...runners];
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, program, repeat } of turn) {
      goOn(signal);
      laps.get(name)!.push((await lap(program, repeat)) / repeat);
    }
    const fastest = Math.min(...turn.map(({ name }) => laps.get(name)![0]!));
    turn = turn.filter(({ name }) => name === usual || laps.get(name)![0]! <= HOPELESS * fastest).reverse();
  }
  return new Map([...laps].filter(([name]) => turn.some((runner) => runner.name === name)));
}

/** Milliseconds that so many runs of a program take, one after the other. */
async function lap(program: Program, repeat: number): Promise<number> {
  const start = performance.now();
  const all = program.dispatches.map((_, i) => i);
  replay(program, all, repeat);
  await program.device.idle();
  return performance.now() - start;
}

function goOn(signal: AbortSignal): void {
  if (signal.aborted) throw new ClipCapError("aborted", "measuring was stopped; what was chosen before stays");
}
