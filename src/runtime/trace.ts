import type { Device } from "./device.js";
import { type DispatchClock, dispatchClock } from "./dispatch-clock.js";
import type { Dispatch, Program } from "./program.js";

type Scalars = Readonly<Record<string, number>>;

/** What a device tells of its programs while somebody traces. */
export interface Recorder {
  /** Encodes the dispatches of a run in the program's place; false leaves it to the program. */
  encode(encoder: GPUCommandEncoder, program: Program, values: Scalars): boolean;
  /** A program was compiled; it began at `start` of performance.now(). */
  compiled(program: Program, start: number): void;
}

/** Does a piece of work and notes when; `track` is for what may go on beside the main phases. */
export type Phase = <T>(name: string, work: () => Promise<T>, track?: string) => Promise<T>;

/** Without a trace. */
export const untraced: Phase = (_name, work) => work();

/** Something on the host, in milliseconds since the trace began. */
export interface HostSlice {
  readonly track: string;
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** One run of a program on the GPU. */
export interface ProgramRun {
  readonly program: string;
  readonly dispatches: readonly Dispatch[];
  readonly scalars: Scalars;
  /** Beginning and end of each dispatch, in milliseconds since the trace began; none overlaps the one before. */
  readonly times: Float64Array;
}

export interface TraceData {
  readonly host: readonly HostSlice[];
  /** In the order of the queue. */
  readonly runs: readonly ProgramRun[];
  /** Whose clock the dispatches were timed by. */
  readonly clock: DispatchClock["source"] | undefined;
  /** More ran than a trace holds; those are not in it. */
  readonly full: boolean;
}

/** Some 80 MB as JSON, which viewers still open: fifty steps of training GPT-2 small, a thousand of decoding. */
const MAX_DISPATCHES = 200_000;

/** When everything happened on a device and around it. One device a trace. */
export class Trace implements Recorder {
  private readonly began = performance.now();
  private readonly host: HostSlice[] = [];
  private readonly runs: (Omit<ProgramRun, "times"> & { encoded: number; times: Promise<Float64Array> })[] = [];
  private readonly scalars = new WeakMap<Program, Scalars>();
  private clock: DispatchClock | undefined;
  private dispatches = 0;
  private full = false;

  constructor(private readonly limit = MAX_DISPATCHES) {}

  /** Listens to a device from now on. Open it with `timestamps`, or dispatches are timed from the host. */
  async attach(device: Device): Promise<void> {
    this.clock ??= await dispatchClock(device);
    device.recorder = this;
  }

  readonly phase: Phase = async (name, work, track = "phases") => {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.note(track, name, start);
    }
  };

  compiled({ label }: Program, start: number): void {
    this.note("compile", label, start);
  }

  encode(encoder: GPUCommandEncoder, program: Program, values: Scalars): boolean {
    const start = performance.now();
    const { label, dispatches } = program;
    this.full ||= this.dispatches + dispatches.length > this.limit;
    if (this.full || !this.clock || dispatches.length === 0) return false;
    const scalars = { ...this.scalars.get(program), ...values };
    this.scalars.set(program, scalars);
    this.dispatches += dispatches.length;
    const times = this.clock.encode(encoder, label, program.encoded);
    times.catch(() => {}); // the device is gone, and whoever waits for results hears of it
    this.runs.push({ program: label, dispatches, scalars, encoded: performance.now(), times });
    this.note("submit", label, start);
    return true;
  }

  /** Waits for the work that was submitted. */
  async finish(): Promise<TraceData> {
    const times = await Promise.all(this.runs.map((run) => run.times));
    this.clock?.destroy();
    const shift = this.clock?.source === "gpu" ? this.gpuZero(times) : 0;
    let before = 0;
    const runs = this.runs.map(({ program, dispatches, scalars }, r): ProgramRun => {
      const own = times[r]!.map((t) => (before = Math.max(before, t + shift - this.began)));
      return { program, dispatches, scalars, times: own };
    });
    return { host: this.host, runs, clock: this.clock?.source, full: this.full };
  }

  /**
   * The GPU's zero on the host's clock: the earliest that lets no run begin before it was encoded. Runs that found the GPU
   * idle began at once, so it is late by at most the time of a submit.
   */
  private gpuZero(times: readonly Float64Array[]): number {
    return this.runs.reduce((zero, { encoded }, r) => Math.max(zero, encoded - times[r]![0]!), -Infinity);
  }

  private note(track: string, name: string, start: number): void {
    if (this.full) return; // a training run goes on for days
    this.host.push({ track, name, start: start - this.began, end: performance.now() - this.began });
  }
}
