import type { Device } from "../../runtime/device.js";
import { type ProgramRun, Trace } from "../../runtime/trace.js";
import { amount, type Measurement, type Subject } from "./measurement.js";

/** The programs that one piece of work runs, with the times of their dispatches. The device needs timestamps. */
export async function tracedRuns(device: Device, work: () => Promise<unknown>): Promise<readonly ProgramRun[]> {
  const trace = new Trace();
  await trace.attach(device);
  await work();
  device.recorder = undefined;
  return (await trace.finish()).runs;
}

/** Kernels with a smaller share are added up. */
const SMALL = 0.01;

/** The share of each kernel in the time that all kernels of one piece of work take, the largest first. */
export async function kernelShares(
  device: Device,
  subject: Omit<Subject, "what">,
  work: () => Promise<unknown>,
): Promise<Measurement[]> {
  const sums = new Map<string, number>();
  let total = 0;
  for (const { dispatches, times } of await tracedRuns(device, work)) {
    for (const [i, { kernel }] of dispatches.entries()) {
      const took = times[2 * i + 1]! - times[2 * i]!;
      const name = shortName(kernel.name);
      sums.set(name, (sums.get(name) ?? 0) + took);
      total += took;
    }
  }
  const shares = [...sums].map(([name, sum]) => ({ name, share: sum / total }));
  const large = shares.filter(({ share }) => share >= SMALL).sort((a, b) => b.share - a.share);
  const others = 1 - large.reduce((sum, { share }) => sum + share, 0);
  return [...large, { name: "others", share: others }].map(({ name, share }) =>
    amount({ ...subject, what: `of it: ${name}`, how: `${subject.how}, traced` }, 100 * share, "%"),
  );
}

/** Without the variant: "attention", of matrix products also the layout, which tells dX (nn) and dW (tn) apart. */
function shortName(kernel: string): string {
  const [family, layout] = kernel.split(".");
  return family === "matmul" ? `${family}.${layout}` : family!;
}
