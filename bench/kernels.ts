// Every kernel and variant at the shapes of the real models. `npm run bench -- kernels [pattern]`
import { kernelCases } from "../src/bench/cases/all.js";
import type { KernelCase } from "../src/bench/cases/case.js";
import { watchLoad } from "../src/bench/node-timing.js";
import { measurePeaks, type Peaks } from "../src/bench/peaks.js";
import { boundBytes, timeDispatches } from "../src/bench/replay.js";
import { fixed, type Result, result } from "../src/bench/result.js";
import { openDevice } from "../src/node.js";
import type { Device } from "../src/runtime/device.js";
import { Program } from "../src/runtime/program.js";
import { publish } from "./report.js";

/** f32 sums of up to 4096 products come to about 1e-13; a wrong element in a sample of 64 to 1e-2. */
const MAX_ERROR = 1e-9;

async function measure(device: Device, peaks: Peaks, c: KernelCase): Promise<Result> {
  const program = new Program(device, "bench");
  const out = c.record(program);
  program.keep(out);
  await program.compile();
  const first = await program.run({}, [out]).get();
  const error = c.error(first[0]!);
  const all = program.dispatches.map((_, i) => i);
  const timing = await timeDispatches(program, all);
  const flops = program.dispatches.reduce((sum, d) => sum + (d.flops ?? 0), 0);
  const bytes = c.bytes ?? program.dispatches.reduce((sum, d) => sum + boundBytes(d, device), 0);
  const { kernel, variant, shape, dtype } = c;
  const verified = error <= MAX_ERROR;
  program.destroy();
  return { ...result({ kernel, variant, shape, dtype }, timing, { flops, bytes, peaks }), verified };
}

const pattern = process.argv[2]?.toLowerCase();
const device = await openDevice();
const watch = watchLoad();
const peaks = await measurePeaks(device);
const results: Result[] = [];
for (const c of kernelCases(device)) {
  const name = `${c.kernel} ${c.variant} ${c.shape} ${c.dtype}`;
  if (pattern && !name.toLowerCase().includes(pattern)) continue;
  const line = await measure(device, peaks, c);
  process.stderr.write(`${name}: ${fixed(line.median_ms)} ms${line.verified ? "" : " WRONG"}\n`);
  results.push(line);
}
publish(pattern ? "kernels-part" : "kernels", device, peaks, watch(), results);
device.close();
if (results.some((r) => !r.verified)) process.exitCode = 1;
