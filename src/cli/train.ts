import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { parseTrainConfig, type TrainConfig } from "../train/config.js";
import { dataWarnings, openTrainingData, type TrainingData } from "../train/node-data.js";
import { embedPictures, givenEmbeddings } from "../train/node-embed.js";
import { type Networks, openNetworks } from "../train/node-networks.js";
import { planRun, type RunPlan } from "../train/node-plan.js";
import { RunFolder } from "../train/node-run-folder.js";
import { type TrainOutcome, train } from "../train/node-train.js";
import { writeReport } from "../train/report/node-report.js";
import type { JsonObject } from "../weights/json-fields.js";
import { parseJsonObject } from "../weights/json-fields.js";
import { fileError } from "../weights/node-source.js";
import { chooseDevice } from "./device.js";
import { type CommonOptions, numeric, withCommonOptions } from "./options.js";
import { planTable } from "./plan-table.js";
import { Screen } from "./screen.js";
import { stopSignal, waitForTheEnd } from "./stop.js";
import { type ConfigFlags, checkFlags, configFrom, withConfigOptions } from "./train-config.js";

export interface TrainFlags extends CommonOptions, ConfigFlags {
  readonly out?: string;
  readonly resume?: boolean;
  readonly dryRun?: boolean;
}

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
  withCommonOptions(command);
}

async function trainCommand(flags: TrainFlags): Promise<void> {
  const screen = new Screen(flags);
  const { json, config } = await chooseConfig(flags);
  const networks = await openNetworks(config);
  try {
    screen.progress("reading the data");
    const data = await openTrainingData(config);
    for (const warning of dataWarnings(data)) screen.note(warning);
    if (flags.dryRun) await dryRun(flags, config, networks, data, screen);
    else await trainHere(flags, json, { config, networks, data }, screen);
  } finally {
    screen.idle();
    await networks.close();
  }
}

/** The configuration of the run: its own when it is resumed, else the file's with what the flags say. */
async function chooseConfig(flags: TrainFlags): Promise<{ json: JsonObject; config: TrainConfig }> {
  const { out, resume, dryRun } = flags;
  checkFlags(flags);
  if (out === undefined && !dryRun) throw new ClipCapError("bad-usage", "--out is missing; name a folder for the run");
  const file = out === undefined ? undefined : join(out, "config.json");
  const exists = file !== undefined && existsSync(file);
  if (resume) {
    if (!exists)
      throw new ClipCapError(
        "bad-usage",
        `${out} has no config.json, so there is nothing to resume; leave --resume out to start`,
      );
    const text = await readFile(file, "utf8").catch((cause) => {
      throw fileError(file, cause);
    });
    const json = parseJsonObject(file, text);
    return { json, config: parseTrainConfig(json, file) };
  }
  if (exists && !dryRun) {
    throw new ClipCapError(
      "bad-usage",
      `${out} holds a training run already; add --resume to go on with it, or name another folder`,
    );
  }
  return configFrom(flags);
}

interface Opened {
  readonly config: TrainConfig;
  readonly networks: Networks;
  readonly data: TrainingData;
}

async function trainHere(flags: TrainFlags, json: JsonObject, opened: Opened, screen: Screen): Promise<void> {
  const run = await RunFolder.take(flags.out!);
  let device: Device | undefined;
  try {
    await run.writeJson("config.json", json);
    screen.progress("opening the device");
    device = await chooseDevice(flags.device);
    const embeddings = await embeddingsOf(device, opened, screen);
    waitForTheEnd();
    screen.progress("compiling kernels (the driver keeps them for next time)");
    const outcome = await train(device, {
      ...opened,
      embeddings,
      run,
      resume: flags.resume ?? false,
      signal: stopSignal,
      onStep: (step, total, { tokens, images }) =>
        screen.progress("training", step, total, `${Math.round(tokens)} tokens/s, ${images.toFixed(1)} images/s`),
      onLine: (line) => show(line, flags, screen),
    });
    await report(run, screen);
    finish(outcome, flags, screen);
  } finally {
    device?.close();
    await run.release();
  }
}

/** Where CLIP stays as it is, its embeddings take its place. */
async function embeddingsOf(device: Device, { config, networks, data }: Opened, screen: Screen) {
  if (config.train.includes("clip")) return undefined;
  const { embeddings: given } = data;
  const { f16Embeddings: f16 } = config.data;
  if (given) {
    const of = (images: TrainingData["train"]) => givenEmbeddings(given, images, networks.clip, f16);
    return { train: of(data.train), dev: of(data.dev) };
  }
  const of = (images: TrainingData["train"]) =>
    embedPictures(device, networks.clip, images, {
      source: config.data.source,
      f16,
      signal: stopSignal,
      onProgress: (done, total) => screen.progress("embedding the pictures, once for this CLIP", done, total),
    });
  return { train: await of(data.train), dev: await of(data.dev) };
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
  await writeReport([run.path], run.file("report.html")).catch((error) => screen.complain(error));
}

function finish({ step, best, early }: TrainOutcome, { json, quiet, out }: TrainFlags, screen: Screen): void {
  if (json) screen.print(JSON.stringify({ kind: "end", step, best, early: early ?? null }));
  else if (!quiet) {
    const why =
      early === "no progress"
        ? " (the validation loss fell no more)"
        : early === "stopped"
          ? " (stopped; --resume goes on)"
          : "";
    screen.print(
      `${out}: ${step} steps${why}${best ? `, best validation loss ${best.loss.toFixed(3)} at step ${best.step}` : ""}`,
    );
  }
  stopSignal.throwIfAborted();
}

async function dryRun(
  flags: TrainFlags,
  config: TrainConfig,
  networks: Networks,
  data: TrainingData,
  screen: Screen,
): Promise<void> {
  const device = await chooseDevice(flags.device);
  const planning = Device.planning(device);
  device.close();
  const plan: RunPlan = await planRun(planning, config, networks, data);
  if (flags.json) screen.print(JSON.stringify(plan));
  else screen.print(planTable(plan));
}
