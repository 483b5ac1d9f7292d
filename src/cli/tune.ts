import type { Command } from "commander";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { newTable, readTable, removeTable, saveTable, type TuneTable, tableFile, tunedOf } from "../tune/node-table.js";
import { tune } from "../tune/tune.js";
import { chooseUntuned, usableTable } from "./device.js";
import { sentence } from "./fail.js";
import { type CommonOptions, numeric, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";

interface Options extends CommonOptions {
  readonly seconds: number;
  readonly show?: boolean;
  readonly reset?: boolean;
}

const DEFAULT_SECONDS = 120;
const MAX_SECONDS = 3600;

const HELP = `
Examples:
  clipcap tune                     measures, and keeps what it found for this adapter and driver
  clipcap tune --show              what it found
  clipcap tune --reset             back to the usual kernels

Every variant is checked against a reference before it takes part, and must be 5 % faster than the usual one to take its
place. A class that is not reached in time keeps what an earlier measurement found for it. All commands then use the
result; with CLIPCAP_TUNE=0 in the environment they take the usual kernels, but for a training run that is resumed: it takes
those that it began with. Sums may be rounded otherwise than before, so captions stay the same but for ties within rounding;
see docs/tuning.md.`;

export function addTune(program: Command): void {
  const command = program
    .command("tune")
    .summary("find the fastest kernels for this machine")
    .description(
      "Measures, in a minute or two, which of the kernels for each class of shapes are fastest on this adapter.",
    )
    .option(
      "--seconds <n>",
      "time after which the remaining classes keep their kernels",
      numeric("--seconds"),
      DEFAULT_SECONDS,
    )
    .option("--show", "what was found, and when")
    .option("--reset", "forget it")
    .addHelpText("after", HELP)
    .action(tuneCommand);
  command.options.find(({ long }) => long === "--show")?.conflicts(["reset", "seconds"]);
  command.options.find(({ long }) => long === "--reset")?.conflicts(["seconds"]);
  withCommonOptions(command);
}

async function tuneCommand(options: Options): Promise<void> {
  const { seconds } = options;
  if (!(seconds > 0 && seconds <= MAX_SECONDS)) {
    throw new ClipCapError("bad-usage", `--seconds is ${seconds}; it must be above 0 and at most ${MAX_SECONDS}`);
  }
  const screen = new Screen(options);
  screen.progress("opening the device");
  const device = await chooseUntuned(options.device);
  const file = tableFile(device.adapter);
  try {
    if (options.reset) await reset(file, options, screen);
    else
      show(
        file,
        options.show ? await known(file, device) : await measure(file, device, options, screen),
        options,
        screen,
      );
  } finally {
    screen.idle();
    device.close();
  }
}

async function reset(file: string, { json, quiet }: Options, screen: Screen): Promise<void> {
  const removed = await removeTable(file);
  if (json) screen.print(JSON.stringify({ file, removed }));
  else if (!quiet) screen.print(removed ? `removed ${file}` : `there was nothing to forget (${file})`);
}

async function known(file: string, device: Device): Promise<TuneTable> {
  const table = await readTable(file, device).catch((cause) => {
    throw new ClipCapError("bad-input", `${sentence(cause)}; run clipcap tune again`, { cause });
  });
  if (table) return table;
  throw new ClipCapError("not-found", `nothing was measured on ${device.adapter.description} yet; run clipcap tune`);
}

async function measure(file: string, device: Device, { seconds }: Options, screen: Screen): Promise<TuneTable> {
  const earlier = await usableTable(file, device, "what is measured now takes its place");
  const found = await tune(device, {
    signal: stopSignal,
    seconds,
    onProgress: (done, of) => screen.progress("measuring kernels", 0, 0, `${done} classes done, now ${of}`),
  });
  const table = newTable(device.adapter, found, earlier?.results);
  await saveTable(file, table);
  return table;
}

function show(file: string, table: TuneTable, { json, quiet }: Options, screen: Screen): void {
  const { digest } = tunedOf(table);
  if (json) screen.print(JSON.stringify({ file, digest, ...table }));
  if (json || quiet) return;
  for (const { of, usual, chosen, speedup, wrong } of table.results) {
    if (wrong.length > 0) screen.print(`${of}: ${wrong.join(", ")} computes wrongly here and is not used`);
    if (chosen !== usual) screen.print(`${of}: ${chosen} instead of ${usual}, ${speedup.toFixed(2)} times as fast`);
  }
  const changed = table.results.filter(({ chosen, usual }) => chosen !== usual).length;
  screen.print(
    `${table.driver}: ${changed} of ${table.results.length} classes take another kernel than usual ` +
      `(measured ${table.date.slice(0, 10)}, ${digest}, ${file})`,
  );
}
