// Chrome's trace event format, which chrome://tracing and ui.perfetto.dev open: docs/tracing.md.
import { boundBytes } from "./bound-bytes.js";
import { type Dispatch, flopsOf } from "./program.js";
import { whole } from "./tensor.js";
import type { HostSlice, ProgramRun, TraceData } from "./trace.js";

/** A slice ("X") in microseconds, or a name ("M") of a process or thread. */
export interface TraceEvent {
  readonly ph: "X" | "M";
  readonly name: string;
  readonly cat?: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

const HOST = 1;
const GPU = 2;
const [PROGRAMS, STAGES, DISPATCHES] = [1, 2, 3];

/** All events of a trace. Slices of one process and thread do not overlap. */
export function* traceEvents(trace: TraceData): Generator<TraceEvent> {
  yield { ph: "M", name: "process_name", pid: HOST, tid: 0, args: { name: "host" } };
  yield { ph: "M", name: "process_name", pid: GPU, tid: 0, args: { name: "GPU" } };
  yield thread(GPU, PROGRAMS, "programs");
  yield thread(GPU, STAGES, "stages");
  yield thread(GPU, DISPATCHES, "dispatches");
  yield* hostEvents(trace.host);
  for (const run of trace.runs) yield* runEvents(run);
}

function thread(pid: number, tid: number, name: string): TraceEvent {
  return { ph: "M", name: "thread_name", pid, tid, args: { name } };
}

/** A thread for each track, and further ones for what goes on at the same time. */
function* hostEvents(slices: readonly HostSlice[]): Generator<TraceEvent> {
  /** Of each thread: its track, and when its last slice ends. */
  const threads: { readonly track: string; end: number }[] = [];
  for (const { track, name, start, end } of slices.toSorted((a, b) => a.start - b.start)) {
    let tid = threads.findIndex((t) => t.track === track && t.end <= start);
    if (tid < 0) {
      tid = threads.push({ track, end }) - 1;
      yield thread(HOST, tid, track);
    }
    threads[tid]!.end = end;
    yield { ...slice(HOST, tid, name, start, end), cat: track };
  }
}

function* runEvents({ program, dispatches, scalars, times }: ProgramRun): Generator<TraceEvent> {
  const span = (name: string, tid: number, first: number, last: number) =>
    slice(GPU, tid, name, times[2 * first]!, times[2 * last + 1]!);
  const flops = dispatches.reduce((sum, d) => sum + flopsOf(d, scalars), 0);
  yield {
    ...span(program, PROGRAMS, 0, dispatches.length - 1),
    cat: "program",
    args: { dispatches: dispatches.length, flops, ...scalars },
  };
  for (const { stage, first, last } of stages(dispatches)) {
    yield { ...span(stage, STAGES, first, last), cat: "stage", args: { dispatches: last - first + 1 } };
  }
  for (const [i, d] of dispatches.entries()) {
    yield { ...span(d.label, DISPATCHES, i, i), cat: "dispatch", args: describe(d, scalars) };
  }
}

/**
 * Runs of dispatches of one network: labels begin with the network that they belong to, in the backward pass after a
 * "d": `d gpt2.h3.fc1`.
 */
export function stages(
  dispatches: readonly Dispatch[],
): { readonly stage: string; readonly first: number; last: number }[] {
  const out: { readonly stage: string; readonly first: number; last: number }[] = [];
  for (const [i, { label }] of dispatches.entries()) {
    const stage = label.split(".")[0]!;
    const current = out.at(-1);
    if (current?.stage === stage) current.last = i;
    else out.push({ stage, first: i, last: i });
  }
  return out;
}

function describe(d: Dispatch, scalars: ProgramRun["scalars"]): Readonly<Record<string, unknown>> {
  const [kernel, ...variant] = d.kernel.name.split(".");
  const tensors = Object.entries(d.tensors).map(([name, bound]) => {
    const { dtype, shape } = whole(bound);
    return [name, `${dtype} [${shape.join(", ")}]`];
  });
  const output = d.kernel.bindings.find(({ access }) => access === "read_write")!.name; // the result stands first
  const uniforms = Object.entries(d.uniforms).map(([name, value]) => [
    name,
    typeof value === "number" ? value : scalars[value.scalar],
  ]);
  return {
    kernel,
    variant: variant.join("."),
    label: d.label,
    shape: `[${whole(d.tensors[output]!).shape.join(", ")}]`,
    tensors: Object.fromEntries(tensors),
    uniforms: Object.fromEntries(uniforms),
    workgroups: d.workgroups,
    flops: flopsOf(d, scalars),
    bound_bytes: boundBytes(d),
  };
}

/** Whole nanoseconds, so that slices that touch still touch after rounding. */
function slice(pid: number, tid: number, name: string, start: number, end: number): TraceEvent {
  const [from, to] = [Math.round(start * 1e6), Math.round(end * 1e6)];
  return { ph: "X", name, pid, tid, ts: from / 1000, dur: (to - from) / 1000 };
}
