import type { EndToEndReport, Measurement } from "../bench/end-to-end/measurement.js";
import { type Group, groupsMatching } from "../bench/end-to-end/node-groups.js";
import { endToEndPage } from "../bench/end-to-end/page/node-page.js";
import { headOf } from "../bench/node-head.js";
import { watchLoad } from "../bench/node-timing.js";
import { measurePeaks } from "../bench/peaks.js";
import { fixed, type ReportHead, round } from "../bench/result.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { publish, type ResultFiles } from "./bench-results.js";
import { chooseDevice } from "./device.js";
import { sentence } from "./fail.js";
import type { Screen } from "./screen.js";
import { stopSignal, untilStopped, waitForTheEnd } from "./stop.js";
import { table } from "./table.js";

export interface EndToEndOptions extends ResultFiles {
  readonly list?: boolean;
  readonly device: string;
}

/** `clipcap bench --end-to-end`: the models at work. Ctrl-C ends with what was measured until then. */
export async function benchEndToEnd(pattern: string, options: EndToEndOptions, screen: Screen): Promise<void> {
  const groups = groupsMatching(pattern);
  if (groups.length === 0) {
    throw new ClipCapError("bad-usage", `no group has "${pattern}" in its name; --end-to-end --list shows them all`);
  }
  if (options.list) {
    for (const { name } of groups) screen.print(options.json ? JSON.stringify({ name }) : name);
    return;
  }
  try {
    await measure(groups, pattern, options, screen);
  } finally {
    screen.idle();
  }
}

async function measure(groups: readonly Group[], pattern: string, options: EndToEndOptions, screen: Screen) {
  const open = () => chooseDevice(options.device, { timestamps: true });
  const load = watchLoad();
  const measurements: Measurement[] = [];
  const head = await headHere(open, screen);
  const saved = waitForTheEnd();
  await measureGroups(groups, open, options.device, screen, measurements);
  screen.idle();
  const report: EndToEndReport = {
    ...head,
    other_load: round(load().otherCores, 2),
    pattern: pattern || undefined,
    interrupted: stopSignal.aborted || undefined,
    measurements,
  };
  const shown = { lines: endToEndLines(report), page: () => endToEndPage(report) };
  if (measurements.length > 0) await publish(report, shown, options, screen);
  saved();
}

/** On a device of its own, as every group has one, so that each one's memory is its own. */
async function headHere(open: () => Promise<Device>, screen: Screen): Promise<ReportHead> {
  const device = await open();
  try {
    screen.progress("measuring this device's peaks");
    return headOf(device, await measurePeaks(device), 0);
  } finally {
    device.close();
  }
}

/** Appends to `found`, until Ctrl-C. A group that fails is reported; the next one has a device of its own. */
async function measureGroups(
  groups: readonly Group[],
  open: () => Promise<Device>,
  which: string,
  screen: Screen,
  found: Measurement[],
): Promise<void> {
  for (const [i, { name, measure }] of groups.entries()) {
    screen.progress("measuring", i, groups.length, name);
    try {
      const turns = measure(open, which, stopSignal);
      for (let next = turns.next(); ; next = turns.next()) {
        const { done, value } = await untilStopped(next);
        if (done) break;
        found.push(value);
      }
    } catch (error) {
      if (stopSignal.aborted) return;
      screen.complain(new Error(`${name}: ${sentence(error)}`));
    }
  }
}

/** A table for each model. */
export function endToEndLines({
  adapter,
  driver,
  commit,
  other_load,
  interrupted,
  measurements,
}: EndToEndReport): string[] {
  const models = [...new Set(measurements.map(({ model }) => model))];
  const head = ["", "median", "", "p95", "cpu", "limit"];
  const row = ({ what, how, value, unit, p95, cpu_ms, limit }: Measurement) => [
    `${what} (${how})`,
    unit === "ms" ? fixed(value) : String(value),
    unit,
    ...[p95, cpu_ms].map((n) => (n === undefined ? "" : fixed(n))),
    limit === undefined ? "" : `${limit}${value > limit ? " OVER" : ""}`,
  ];
  return [
    `${adapter}, ${driver}; ${commit}`,
    ...(other_load > 0.2 ? [`Other programs kept ${other_load} cores busy meanwhile: the times are too long.`] : []),
    ...(interrupted ? ["Interrupted: this is what was measured before."] : []),
    ...models.flatMap((model) => ["", model, ...table(head, measurements.filter((m) => m.model === model).map(row))]),
  ];
}
