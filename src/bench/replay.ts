import { encodeDispatches } from "../runtime/encode.js";
import type { Program } from "../runtime/program.js";
import { Timestamps } from "../runtime/timestamps.js";
import { quantile, stopwatch, type Timing, watchLap, watchLoad } from "./node-timing.js";

/** Most passes in one submit: an encoder keeps a record of every dispatch. */
const MAX_REPEAT = 2000;
/** All samples of one case together, beyond which fewer are taken, but never fewer than MIN_RUNS. */
const MAX_TOTAL_MS = 3000;
const MIN_RUNS = 3;

export interface DispatchTiming {
  /** How long one sample, a submit of many passes over the dispatches, should last. */
  readonly targetMs?: number;
  /** Samples. */
  readonly runs?: number;
  /** Passes of the first sample, from a guess of what one takes; the number is corrected by what it did take. */
  readonly repeat?: number;
}

/**
 * Time of one pass over some dispatches of a program: many passes in one submit, by the wall and by the GPU's clock. The
 * program must have run once: its scalars are set then, and the driver has compiled its kernels.
 */
export async function timeDispatches(
  program: Program,
  indices: readonly number[],
  { targetMs = 60, runs = 7, repeat: guess = 1 }: DispatchTiming = {},
): Promise<Timing> {
  const { device } = program;
  const clock = device.gpu.features.has("timestamp-query") ? new Timestamps(device, 1) : undefined;
  const once = async (repeat: number) => {
    const start = performance.now();
    replay(program, indices, repeat, clock);
    await device.idle();
    return performance.now() - start;
  };
  let repeat = Math.min(MAX_REPEAT, guess);
  let ms = await once(repeat);
  for (; ms < targetMs / 2 && repeat < MAX_REPEAT; ms = await once(repeat)) {
    repeat = Math.min(MAX_REPEAT, Math.max(repeat * 2, Math.floor((repeat * targetMs) / ms)));
  }
  if (ms > 2 * targetMs) {
    const fewer = Math.max(1, Math.floor((repeat * targetMs) / ms));
    ms *= fewer / repeat;
    repeat = fewer;
  }
  const [laps, gpuLaps, load] = [stopwatch(), [] as number[], watchLoad()];
  const samples = Math.min(runs, Math.max(MIN_RUNS, Math.floor(MAX_TOTAL_MS / ms)));
  for (let i = 0; i < samples; i++) {
    const lap = watchLap();
    await once(repeat);
    laps.add(lap());
    const [begin, end] = (await clock?.read(1)) ?? [];
    if (begin !== undefined && end! > begin) gpuLaps.push(Number(end! - begin) / 1e6); // else the driver has no times
  }
  clock?.destroy();
  const all = laps.timing(load().otherCores);
  const each = (n: number) => n / repeat;
  return {
    ...all,
    median: each(all.median),
    p95: each(all.p95),
    best: each(all.best),
    cpu: each(all.cpu),
    gpu: gpuLaps.length > 0 ? each(quantile(gpuLaps, 0.5)) : undefined,
  };
}

/** Submits the given dispatches of a compiled program `repeat` times over, with its own bind groups. */
export function replay(program: Program, indices: readonly number[], repeat: number, clock?: Timestamps): void {
  const encoder = program.device.gpu.createCommandEncoder();
  const once = indices.map((i) => program.encoded[i]!);
  const dispatches = Array.from({ length: repeat }, () => once).flat();
  encodeDispatches(encoder, program.label, dispatches, clock?.writes(0));
  clock?.resolve(encoder, 1);
  program.device.gpu.queue.submit([encoder.finish()]);
}
