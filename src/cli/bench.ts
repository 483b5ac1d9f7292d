import { readFile, stat } from "node:fs/promises";
import type { Command } from "commander";
import { kernelCases, matching } from "../bench/cases/all.js";
import { caseName, type KernelCase } from "../bench/cases/case.js";
import { compareReports, parseReport } from "../bench/compare.js";
import { measureCase } from "../bench/kernels.js";
import { headOf } from "../bench/node-head.js";
import { watchLoad } from "../bench/node-timing.js";
import { benchPage } from "../bench/page/node-page.js";
import { measurePeaks, type Peaks } from "../bench/peaks.js";
import { type KernelReport, type KernelResult, round } from "../bench/result.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { fileError, writeAtomically } from "../weights/node-source.js";
import { benchEndToEnd } from "./bench-end-to-end.js";
import { comparisonLines, headLines, resultLines } from "./bench-lines.js";
import { checkResultFiles, publish } from "./bench-results.js";
import { chooseDevice } from "./device.js";
import { sentence } from "./fail.js";
import { numeric, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { stopSignal, untilStopped, waitForTheEnd } from "./stop.js";
import { openTracing, type TraceOptions, type Tracing, withTraceOption } from "./trace.js";

interface Options extends TraceOptions {
  readonly endToEnd?: boolean;
  readonly list?: boolean;
  /** True where no file is named. */
  readonly json?: string | true;
  readonly html?: string;
  readonly compare?: readonly string[];
  readonly runs: number;
  readonly targetMs: number;
  readonly quiet?: boolean;
  readonly device: string;
}

const [MAX_RUNS, MAX_TARGET_MS] = [1000, 10_000];
/** Reports take 150 KB. */
const MAX_REPORT_BYTES = 64 * 2 ** 20;

const HELP = `
Examples:
  clipcap bench                                        every kernel in every variant; minutes
  clipcap bench '*'                                    only what this device chooses by itself
  clipcap bench 'matmul training' --json mine.json     names with both words; the results as a file too
  clipcap bench --list                                 all names
  clipcap bench layernorm --html layernorm.html        a page with a roofline plot
  clipcap bench --compare before.json after.json       which kernels became faster or slower
  clipcap bench --end-to-end --html curves.html        captions, decoding and training, and how their cost grows
  clipcap bench --end-to-end 'decode beam'             only the groups with both words; --list names them

Every result is compared with an f64 reference at the size that is timed; a wrong one is marked NO, and the exit code is 1.
Ctrl-C ends with what was measured until then. How to read the numbers: docs/bench.md.`;

export function addBench(program: Command): void {
  const command = program
    .command("bench")
    .summary("how fast each kernel is on this device, against its limits")
    .description("Times every kernel at the shapes of the real models and compares with the peaks of this device.")
    .argument("[pattern]", "words that must all be in a case's name")
    .option("--end-to-end", "the models at work instead of single kernels; ten minutes on lavapipe")
    .option("--list", "the names of the cases, without measuring")
    .option("--compare <report...>", "two files of --json: ratios of their times")
    .option("--html <file>", "a page with the numbers and a roofline plot, or the curves of --end-to-end")
    .option("--runs <n>", "samples of each case", numeric("--runs"), 9)
    .option("--target-ms <ms>", "how long a sample, many dispatches in one submit, lasts", numeric("--target-ms"), 60)
    .addHelpText("after", HELP)
    .action(bench);
  withCommonOptions(withTraceOption(command), [
    "--json [file]",
    "results as JSON on stdout, or in the file beside the table",
  ]);
  const exclusive = (flag: string, others: string[]) =>
    command.options.find((option) => option.long === flag)?.conflicts(others);
  exclusive("--compare", ["list", "html", "trace", "endToEnd", "runs", "targetMs"]);
  exclusive("--list", ["html", "trace"]);
  exclusive("--end-to-end", ["trace", "runs", "targetMs"]);
}

async function bench(pattern: string | undefined, options: Options): Promise<void> {
  checkOptions(pattern, options);
  const screen = new Screen(options);
  if (options.compare) return compare(options.compare, options, screen);
  await checkResultFiles(options);
  if (options.endToEnd) return benchEndToEnd(pattern ?? "", options, screen);
  const tracing = await openTracing(options);
  const device = await chooseDevice(options.device, { timestamps: true });
  try {
    const cases = matching(kernelCases(device), pattern ?? "");
    if (cases.length === 0) {
      throw new ClipCapError("bad-usage", `no case has "${pattern}" in its name; clipcap bench --list shows them all`);
    }
    if (options.list) list(cases, options, screen);
    else await measure({ device, cases, pattern, options, screen, tracing });
  } finally {
    screen.idle();
    device.close();
  }
}

function checkOptions(pattern: string | undefined, { runs, targetMs, json, compare }: Options): void {
  if (!(Number.isInteger(runs) && runs >= 1 && runs <= MAX_RUNS)) {
    throw new ClipCapError("bad-usage", `--runs is ${runs}; it must be a whole number from 1 to ${MAX_RUNS}`);
  }
  if (!(targetMs > 0 && targetMs <= MAX_TARGET_MS)) {
    throw new ClipCapError("bad-usage", `--target-ms is ${targetMs}; it must be above 0 and at most ${MAX_TARGET_MS}`);
  }
  // `bench --json matmul` would measure everything and call the file matmul.
  if (typeof json === "string" && !/\.json$/i.test(json)) {
    throw new ClipCapError(
      "bad-usage",
      `--json ${json} names a file that does not end in .json; put a pattern before it`,
    );
  }
  if (compare && compare.length !== 2) {
    throw new ClipCapError("bad-usage", `--compare takes two files, and there are ${compare.length}`);
  }
  if (compare && pattern !== undefined) {
    throw new ClipCapError("bad-usage", `--compare takes all that both files hold; leave the pattern "${pattern}" out`);
  }
}

function list(cases: readonly KernelCase[], { json }: Options, screen: Screen): void {
  for (const c of cases) {
    const { kernel, variant, shape, dtype, chosen } = c;
    screen.print(json ? JSON.stringify({ kernel, variant, shape, dtype, chosen }) : caseName(c));
  }
}

interface Job {
  readonly device: Device;
  readonly cases: readonly KernelCase[];
  readonly pattern: string | undefined;
  readonly options: Options;
  readonly screen: Screen;
  readonly tracing: Tracing;
}

async function measure(job: Job): Promise<void> {
  const { device, pattern, options, screen, tracing } = job;
  const load = watchLoad();
  const results: KernelResult[] = [];
  screen.progress("measuring this device's peaks");
  const peaks = await measurePeaks(device);
  const head = headOf(device, peaks, 0); // now: it asks git, and Ctrl-C shall not wait for that
  const saved = waitForTheEnd();
  await tracing.attach(device);
  const complete = await measureCases(job, peaks, results);
  screen.idle();
  const timestamps = results.some((r) => r.gpu_ms !== undefined);
  const report: KernelReport = {
    ...head,
    other_load: round(load().otherCores, 2),
    clock: `wall time of many dispatches in one submit${timestamps ? "; gpu_ms by GPU timestamps" : ""}`,
    pattern,
    interrupted: !complete || undefined,
    results,
  };
  const lines = [...headLines(report), "", ...resultLines(results)];
  if (results.length > 0) await publish(report, { lines, page: () => benchPage(report) }, options, screen);
  if (complete) await tracing.write(screen);
  saved();
  const wrong = results.filter((r) => !r.verified).length;
  if (wrong === 0) return;
  const message = `${wrong} of ${results.length} results are wrong; the times of those mean nothing`;
  screen.complain(new ClipCapError("validation", message));
}

/**
 * Appends to `results`, until Ctrl-C or the device's end; returns whether every case had its turn. One that fails is
 * reported and left out.
 */
async function measureCases(
  { device, cases, options: { runs, targetMs }, screen, tracing }: Job,
  peaks: Peaks,
  results: KernelResult[],
): Promise<boolean> {
  for (const [i, c] of cases.entries()) {
    const name = caseName(c);
    screen.progress("measuring", i, cases.length, name);
    try {
      const work = () => measureCase(device, peaks, c, { runs, targetMs });
      results.push(await untilStopped(tracing.phase(name, work)));
    } catch (error) {
      if (stopSignal.aborted) return false;
      screen.complain(new Error(`${name}: ${sentence(error)}`));
      if (hasEnded(device)) return false;
    }
  }
  return true;
}

function hasEnded(device: Device): boolean {
  try {
    device.ensureOpen();
    return false;
  } catch {
    return true;
  }
}

async function compare(files: readonly string[], { json }: Options, screen: Screen): Promise<void> {
  const [a, b] = await Promise.all(files.map(async (file) => parseReport(file, await readReport(file))));
  const comparison = compareReports(a!, b!);
  const text = JSON.stringify({ a: a!.file, b: b!.file, ...comparison }, null, 1);
  if (json === true) screen.print(text);
  else for (const line of comparisonLines(a!, b!, comparison)) screen.print(line);
  if (typeof json === "string") await writeAtomically(json, (sink) => sink.write(Buffer.from(`${text}\n`)));
}

async function readReport(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > MAX_REPORT_BYTES) {
      throw new ClipCapError("bad-input", `${file} has ${size} bytes; a report has at most ${MAX_REPORT_BYTES}`);
    }
    return await readFile(file, "utf8");
  } catch (cause) {
    throw fileError(file, cause);
  }
}
