import { boundBytes } from "../runtime/bound-bytes.js";
import type { Device } from "../runtime/device.js";
import { flopsOf, Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";
import type { KernelCase, Recorded, Values } from "./cases/case.js";
import type { Peaks } from "./peaks.js";
import { type DispatchTiming, timeDispatches } from "./replay.js";
import { type KernelResult, result, round } from "./result.js";

/** f32 sums of up to 50,257 products come to about 1e-12; one wrong element in a sample of 256 to 1e-3. */
const MAX_ERROR = 1e-9;

/** First sample of a case: so much of what the device could do at its peaks in the time of a sample. */
const FIRST_SAMPLE = 1 / 8;
const TARGET_MS = 60;

/** Records a case, runs it once, checks what it gave, then times it. A trace gets one further run, warm as those timed. */
export async function measureCase(
  device: Device,
  peaks: Peaks,
  c: KernelCase,
  options: DispatchTiming = {},
): Promise<KernelResult> {
  const program = new Program(device, "bench");
  const { recorder } = device;
  device.recorder = undefined; // the first run holds what the driver compiles
  let recorded: Recorded | undefined;
  try {
    recorded = c.record(program);
    const { outputs, error: errorOf, scalars = {}, from = 0 } = recorded;
    program.keep(...outputs);
    await program.compile();
    const error = errorOf(await firstRun(program, outputs, scalars));
    const timed = program.dispatches.map((_, i) => i).slice(from);
    const flops = timed.reduce((sum, i) => sum + flopsOf(program.dispatches[i]!, scalars), 0);
    const bytes = recorded.bytes ?? timed.reduce((sum, i) => sum + boundBytes(program.dispatches[i]!, device.empty), 0);
    const targetMs = options.targetMs ?? TARGET_MS;
    const idealMs = Math.max(flops / peaks.gflops, bytes / peaks.gbs) / 1e6;
    const repeat = Math.max(1, Math.floor((FIRST_SAMPLE * targetMs) / idealMs));
    const timing = await timeDispatches(program, timed, { repeat, ...options, targetMs });
    device.recorder = recorder;
    if (recorder) await program.run(scalars, inside(outputs)).get();
    const { kernel, variant, shape, dtype, chosen } = c;
    const line = result({ kernel, variant, shape, dtype }, timing, { flops, bytes, peaks });
    return {
      ...line,
      gflops: line.gflops ?? 0,
      gbs: line.gbs ?? 0,
      of_peak: line.of_peak ?? 0,
      gpu_ms: timing.gpu === undefined ? undefined : round(timing.gpu),
      verified: error <= MAX_ERROR,
      error: round(error, 2),
      flops,
      bytes,
      dispatches: timed.length,
      runs: timing.runs,
      chosen,
    };
  } finally {
    device.recorder = recorder;
    program.destroy();
    recorded?.free?.();
  }
}

/** The outputs after one run: those inside the program are copied with it, persistent ones read afterwards. */
async function firstRun(
  program: Program,
  outputs: readonly Tensor[],
  scalars: Readonly<Record<string, number>>,
): Promise<Values[]> {
  const kept = inside(outputs);
  const values = await program.run(scalars, kept).get();
  const read = async (t: Tensor): Promise<Values> => {
    const bytes = await program.device.read(t);
    return t.dtype === "u32" ? new Uint32Array(bytes) : new Float32Array(bytes);
  };
  return Promise.all(outputs.map((t) => (t.storage.kind === "transient" ? values[kept.indexOf(t)]! : read(t))));
}

/** Those that are values of the program. */
function inside(outputs: readonly Tensor[]): Tensor[] {
  return outputs.filter((t) => t.storage.kind === "transient");
}
