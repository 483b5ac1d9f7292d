import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import type { Command } from "commander";
import { MAX_KEPT, MAX_SHOWN, type Problem } from "../data/captions/problems.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { planningDevice } from "../runtime/planning.js";
import { parseTrainConfig, type TrainConfig } from "../train/config.js";
import { dataWarnings, filterData, openTrainingData, type TrainingData } from "../train/node-data.js";
import { type Embeddings, embeddingsInput, embedPictures, givenEmbeddings } from "../train/node-embed.js";
import { type Networks, openNetworks, SCENES } from "../train/node-networks.js";
import { planRun } from "../train/node-plan.js";
import { noteProblem, PROBLEMS, readLeftOut } from "../train/node-run-data.js";
import { RunFolder } from "../train/node-run-folder.js";
import { type TrainOutcome, type TrainRun, train } from "../train/node-train.js";
import { addUnreadable, readablePictures, type Unreadable } from "../train/pictures.js";
import { writeReport } from "../train/report/node-report.js";
import { removeTable, saveTable } from "../tune/node-table.js";
import { type JsonObject, parseJsonObject } from "../weights/json-fields.js";
import { fileError } from "../weights/node-source.js";
import { cachedTable, chooseDevice, chooseUntuned, usableTable, useTable } from "./device.js";
import { sentence } from "./fail.js";
import { numeric, withCommonOptions } from "./options.js";
import { planTable } from "./plan-table.js";
import { Screen } from "./screen.js";
import { stopSignal, waitForTheEnd } from "./stop.js";
import { openTracing, type Tracing, withTraceOption } from "./trace.js";
import { checkFlags, configFrom, type TrainFlags, withConfigOptions } from "./train-config.js";

const EXAMPLES = `
Examples:
  clipcap train --data scenes --out runs/scenes           CLIP, mapper and GPT-2 from nothing, on drawn scenes
  clipcap train --data captions.jsonl --images photos --out runs/mine --epochs 5
  clipcap train --data dataset_coco.json --images coco --clip DIR --gpt2 DIR --mapper transformer --out runs/coco
  clipcap train --data … --out runs/mine --dry-run        parameters, memory and arithmetic, before anything is trained
  clipcap train --out runs/mine --resume                  goes on after Ctrl-C, a crash or a power cut

RUN holds config.json, metrics.jsonl, samples.jsonl, checkpoints, report.html and best, the model folder of the best
validation loss: clipcap caption photo.jpg --model RUN/best`;

export function addTrain(program: Command): void {
  const command = program
    .command("train")
    .summary("train a captioner on your own pictures")
    .description("Trains a mapper between CLIP and GPT-2, and CLIP and GPT-2 themselves where asked.")
    .optionsGroup("Run:")
    .option("--out <run>", "folder of the run")
    .option("--resume", "go on with the run in --out, to the same bits as if it had never stopped")
    .option("--dry-run", "say what the run would take, and end");
  withConfigOptions(command, numeric);
  command.addHelpText("after", EXAMPLES).action(trainCommand);
  withTraceOption(withCommonOptions(command).optionsGroup("Output:"));
}

async function trainCommand(flags: TrainFlags): Promise<void> {
  checkFlags(flags);
  const screen = new Screen(flags);
  try {
    if (flags.dryRun) return await dryRun(flags, screen);
    if (flags.out === undefined) throw new ClipCapError("bad-usage", "--out is missing; name a folder for the run");
    const tracing = await openTracing(flags);
    const run = await RunFolder.take(flags.out);
    try {
      await trainIn(run, flags, tracing, screen);
    } finally {
      run.release();
    }
  } finally {
    screen.idle();
  }
}

/** What is trained: the configuration as it is written and as it was checked, and what it names. */
interface Opened {
  readonly json: JsonObject;
  readonly config: TrainConfig;
  readonly networks: Networks;
  readonly data: TrainingData;
}

/** Opens what the flags, or the run that is resumed, name; for the time of `use`. */
async function withOpened(flags: TrainFlags, screen: Screen, use: (opened: Opened) => Promise<void>): Promise<void> {
  const { json, config } = flags.resume ? await resumedConfig(flags) : await newConfig(flags);
  const networks = await openNetworks(config);
  try {
    screen.progress("reading the data");
    const leftOut = flags.resume ? await readLeftOut(flags.out!) : undefined;
    const data = await openTrainingData(config, leftOut);
    for (const warning of dataWarnings(data.problems)) screen.note(warning);
    await use({ json, config, networks, data });
  } finally {
    await networks.close();
  }
}

async function resumedConfig({ out }: TrainFlags): Promise<{ json: JsonObject; config: TrainConfig }> {
  if (out === undefined)
    throw new ClipCapError("bad-usage", "--out is missing; name the folder of the run to go on with");
  const file = join(out, "config.json");
  if (!existsSync(file)) {
    throw new ClipCapError(
      "bad-usage",
      `${out} has no config.json, so there is nothing to resume; leave --resume out to start`,
    );
  }
  const text = await readFile(file, "utf8").catch((cause) => {
    throw fileError(file, cause);
  });
  const json = parseJsonObject(file, text);
  const config = parseTrainConfig(json, file);
  checkThere(config.data, file);
  return { json, config };
}

/** Paths in config.json stay as they were given: a run and its data can be moved together, and no path of a machine is kept. */
function checkThere({ source, images }: TrainConfig["data"], file: string): void {
  const missing = [source, images].find((path) => path !== undefined && path !== SCENES && !existsSync(path));
  if (missing === undefined) return;
  const advice = isAbsolute(missing) ? "" : `resume in the folder that the run was started in, or `;
  throw new ClipCapError(
    "not-found",
    `${resolve(missing)}, the data of ${file}, does not exist; ${advice}change the path there`,
  );
}

/** What would be overwritten. */
const OF_A_RUN = ["config.json", "checkpoints", "best"];

async function newConfig(flags: TrainFlags): Promise<{ json: JsonObject; config: TrainConfig }> {
  const { out, dryRun } = flags;
  if (out !== undefined && !dryRun && OF_A_RUN.some((name) => existsSync(join(out, name)))) {
    throw new ClipCapError(
      "bad-usage",
      `${out} holds a training run already; add --resume to go on with it, or name another folder`,
    );
  }
  return configFrom(flags);
}

function trainIn(run: RunFolder, flags: TrainFlags, tracing: Tracing, screen: Screen): Promise<void> {
  const { resume = false } = flags;
  return withOpened(flags, screen, async (opened) => {
    screen.progress("opening the device");
    const device = await tracing.phase("open device", () => openForRun(run, flags, tracing.device));
    try {
      await tracing.attach(device);
      const prepared = await tracing.phase("look at the pictures", () =>
        prepare(device, opened, { run, resume }, screen),
      );
      screen.progress("compiling kernels (the driver keeps them for next time)");
      const outcome = await train(device, {
        ...opened,
        ...prepared,
        run,
        resume,
        signal: stopSignal,
        phase: tracing.phase,
        onBegin: ({ cutCaptions: n }) => {
          waitForTheEnd();
          if (!resume && existsSync(run.file(PROBLEMS))) screen.note(`all of it is in ${run.file(PROBLEMS)}`);
          if (n > 0) screen.note(`captions longer than GPT-2 has positions for are cut: ${n}`);
        },
        onChanged: (changes) =>
          screen.note(`config.json was changed since the checkpoint, and counts from here on: ${changes.join("; ")}`),
        onAgain: () => screen.note("the run ended before its first checkpoint; it begins again"),
        onStep: (step, total, { tokens, images }) =>
          screen.progress("training", step, total, `${Math.round(tokens)} tokens/s, ${images.toFixed(1)} images/s`),
        onProblem: ({ message }) => screen.note(message),
        onLine: (line) => show(line, flags, screen),
      });
      await tracing.write(screen);
      await report(run, screen);
      finish(outcome, flags, screen);
    } finally {
      device.close();
    }
  });
}

/**
 * The device, with the measured kernels that the run began with: they are kept in its folder, so that a run that is resumed
 * after another `clipcap tune` goes on to the same bits.
 */
async function openForRun(
  run: RunFolder,
  { device: which, resume }: TrainFlags,
  how: Tracing["device"],
): Promise<Device> {
  const device = await chooseUntuned(which, how);
  const file = run.file("tuned.json");
  const table = resume
    ? await usableTable(file, device, "the run goes on with the usual kernels and its sums may be rounded otherwise")
    : await cachedTable(device);
  if (table) useTable(device, table);
  if (!resume) await (table ? saveTable(file, table) : removeTable(file));
  return device;
}

/**
 * The data without pictures that cannot be read, which is said, and their embeddings where CLIP stays as it is: in
 * training they take its place. A run that is resumed keeps all pictures that it began with: one that cannot be read any
 * more has the embedding that it had, or where CLIP learns is found out when its turn comes.
 */
async function prepare(
  device: Device,
  { config, networks, data }: Opened,
  { run, resume }: Pick<TrainRun, "run" | "resume">,
  screen: Screen,
): Promise<Pick<TrainRun, "data" | "embeddings">> {
  const clipLearns = config.train.includes("clip");
  if (clipLearns && (resume || config.data.source === SCENES)) return { data }; // scenes are drawn, not read
  const images = [...data.train, ...data.dev];
  const unreadable: Problem[] = [];
  const report: Unreadable = (image, error) => unreadable.push(addUnreadable(data.problems, image, error));
  const progress =
    (what: string) =>
    (done: number, total = images.length) =>
      screen.progress(what, done, total);
  let embeddings: Embeddings | undefined;
  let keeps: ReadonlySet<string>;
  if (clipLearns) {
    const onProgress = progress("looking whether all pictures can be read");
    const readable = await readablePictures(images, report, { signal: stopSignal, onProgress });
    keeps = new Set(readable.map(({ id }) => id));
  } else {
    const onProgress = progress("embedding the pictures, once for this CLIP");
    embeddings = data.embeddings
      ? givenEmbeddings(data.embeddings, networks.clip)
      : await embedPictures(device, networks.clip, images, report, {
          data: config.data,
          resume,
          signal: stopSignal,
          onProgress,
        });
    keeps = new Set(embeddings.keys());
  }
  if (unreadable.length > 0) {
    const what = resume ? "pictures that cannot be read any more" : "pictures that cannot be read are left out";
    screen.note(`${what}: ${unreadable.length}`);
  }
  for (const { message } of unreadable.slice(0, MAX_SHOWN)) screen.note(message);
  if (resume) for (const problem of unreadable.slice(0, MAX_KEPT)) noteProblem(run, problem);
  const kept = filterData(data, ({ id }) => keeps.has(id));
  if (!embeddings) return { data: kept };
  const shape = { width: networks.clip.config.vision.projection, f16: config.data.f16Embeddings };
  const input = (set: TrainingData["train"]) => embeddingsInput(embeddings, set, shape);
  return { data: kept, embeddings: { train: input(kept.train), dev: input(kept.dev) } };
}

/** A look at the validation pictures is worth a line; single steps only stand in the file. */
function show(line: JsonObject, { json, quiet }: TrainFlags, screen: Screen): void {
  if (json) screen.print(JSON.stringify(line));
  if (json || quiet || line.kind !== "dev") return;
  const number = (key: string) => (typeof line[key] === "number" ? (line[key] as number).toFixed(3) : undefined);
  const names = ["loss", "caption_loss", "contrastive_loss", "bleu4", "right"];
  const parts = names.flatMap((name) =>
    number(name) === undefined ? [] : `${name.replace("_", " ")} ${number(name)}`,
  );
  screen.print(`step ${line.step}, epoch ${number("epoch")}: validation ${parts.join(", ")}`);
}

/** The page is not worth losing a run for: without the plotting library there is none. */
async function report(run: RunFolder, screen: Screen): Promise<void> {
  await writeReport([run.path], run.file("report.html")).catch((error) => screen.note(sentence(error)));
}

const EARLY = {
  "no progress": " (the validation loss fell no more)",
  stopped: " (stopped; --resume goes on)",
} as const;

function finish({ step, best, early, grey }: TrainOutcome, { json, quiet, out }: TrainFlags, screen: Screen): void {
  if (json) screen.print(JSON.stringify({ kind: "end", step, best: best ?? null, early: early ?? null }));
  else if (!quiet) {
    const loss = best?.loss === undefined ? "" : `, best validation loss ${best.loss.toFixed(3)} at step ${best.step}`;
    screen.print(`${out}: ${step} steps${early ? EARLY[early] : ""}${loss}`);
  }
  if (grey > 0) screen.note(`pictures that could not be read any more, and were grey to the network: ${grey}`);
  stopSignal.throwIfAborted();
}

function dryRun(flags: TrainFlags, screen: Screen): Promise<void> {
  return withOpened(flags, screen, async ({ config, networks, data }) => {
    const device = await chooseDevice(flags.device);
    const planning = planningDevice(device);
    device.close();
    const plan = await planRun(planning, config, networks, data);
    screen.print(flags.json ? JSON.stringify(plan) : planTable(plan));
  });
}
