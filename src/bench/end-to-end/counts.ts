import type { Counters, Device } from "../../runtime/device.js";
import { amount, type Measurement, type Subject } from "./measurement.js";

const CREATED = ["buffers", "bindGroups", "pipelines"] as const;

/**
 * Dispatches and submits of `work`, which `units` times does what is measured.
 * @throws Error where it creates anything: then it is not the steady work that a benchmark means.
 */
export async function countWork(
  device: Device,
  subject: Omit<Subject, "limit" | "place">,
  units: number,
  work: () => Promise<unknown>,
): Promise<Measurement[]> {
  const before: Counters = { ...device.counters };
  await work();
  const added = (name: keyof Counters) => device.counters[name] - before[name];
  for (const name of CREATED) {
    if (added(name) !== 0)
      throw new Error(`${subject.what}, ${subject.how}, created ${added(name)} ${name} in a steady turn`);
  }
  return (["dispatches", "submits"] as const).map((unit) => amount(subject, added(unit) / units, unit));
}
