/**
 * `npm run reproduce` repeats the original's experiment and writes docs/results.md: both mappers, with GPT-2 fine-tuned and
 * frozen, on drawn scenes and on Flickr8k; `--full-size` the paper's two on COCO. It may be ended at any time and goes on
 * where it was.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import sharp from "sharp";
import { chooseUntuned } from "../../src/cli/device.js";
import { outcome } from "../../src/cli/fail.js";
import { numeric } from "../../src/cli/options.js";
import { Screen } from "../../src/cli/screen.js";
import { stopSignal, watchForStop } from "../../src/cli/stop.js";
import type { Device } from "../../src/runtime/device.js";
import { ClipCapError } from "../../src/runtime/errors.js";
import { writeReport } from "../../src/train/report/node-report.js";
import { writeAtomically } from "../../src/weights/node-source.js";
import { lossChart } from "./chart.js";
import { embedAll, type Material, openPictures, type Pictures } from "./data.js";
import { EXPERIMENTS, type Experiment, type ExperimentName, experiment, type Wishes } from "./experiment.js";
import { madeUpCoco, madeUpFlickr8k } from "./made-up.js";
import { HOW_TO_GET_FLICKR8K } from "./original.js";
import { PICTURES, page, sampleTable } from "./page.js";
import { type ExperimentResult, resultOf } from "./result.js";
import { refuseOther, runTrial, type Trial, writeJson } from "./trial.js";

interface Options extends Wishes {
  readonly only?: "scenes" | "flickr8k";
  readonly fullSize?: boolean;
  readonly out?: string;
  readonly page?: string;
  readonly device: string;
  readonly quiet?: boolean;
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Where Flickr8k lies beside a checkout, where somebody put it there. */
const FLICKR8K = join(ROOT, "../shared/data/flickr8k/captions.jsonl");

const EXAMPLES = `
Examples:
  npm run reproduce                                scenes and Flickr8k, some 45 minutes on two CPU cores
  npm run reproduce -- --epochs 10 --out runs/long --page long.md
  npm run reproduce -- --dry-run                   every line of it in a few steps
  npm run reproduce -- --full-size --data dataset_coco.json --images coco \\
      --clip "$(clipcap fetch clip-vit-base-patch32 --quiet)" --gpt2 "$(clipcap fetch gpt2 --quiet)"
  npm run reproduce -- --full-size --dry-run       the full size with made-up pictures and weights`;

function command(): Command {
  return new Command("reproduce")
    .description("Trains the original's variants with the same data, budget and seed, scores them, and writes a page.")
    .option("--only <name>", "scenes or flickr8k; the page keeps what is finished of the other")
    .option("--full-size", "the paper's two variants on COCO instead")
    .option("--epochs <n>", "budget of each variant, instead of the recipe's", numeric("--epochs"))
    .option("--data <file>", "Flickr8k's captions (docs/data.md), or with --full-size dataset_coco.json")
    .option("--images <dir>", "folder of their images (default: beside the captions)")
    .option("--clip <dir>", "with --full-size: Hugging Face folder of CLIP")
    .option("--gpt2 <dir>", "with --full-size: Hugging Face folder of GPT-2")
    .option("--dry-run", "two steps of each variant with few pictures, made up but for the scenes")
    .option("--out <dir>", "folder of the runs (default: runs/reproduce, or runs/dry-run)")
    .option(
      "--page <file>",
      "the page (default: docs/results.md; with --out, --full-size or --dry-run beside the runs)",
    )
    .option("--device <which>", "as for clipcap train", "auto")
    .option("--quiet", "no progress")
    .addHelpText("after", EXAMPLES)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
}

async function main(argv: readonly string[]): Promise<void> {
  const options = command().parse(argv).opts<Options>();
  checkOptions(options);
  const screen = new Screen(options);
  const out = resolve(options.out ?? join(ROOT, options.dryRun ? "runs/dry-run" : "runs/reproduce"));
  const isOwn = options.out !== undefined || options.fullSize || options.dryRun;
  const pageFile = resolve(options.page ?? (isOwn ? join(out, "results.md") : join(ROOT, "docs/results.md")));
  let device: Device | undefined;
  try {
    const planned: [Experiment, Pictures][] = [];
    for (const name of namesOf(options)) {
      const wishes = await withData(name, options, out, screen);
      if (!wishes) continue;
      const what = await experiment(name, wishes);
      for (const arm of what.arms) await refuseOther(join(out, name), arm);
      screen.progress("reading the data");
      planned.push([what, await openPictures(what)]);
    }
    for (const [what, pictures] of planned) {
      device ??= await chooseUntuned(options.device); // the same kernels for everyone, and after a break
      await reproduce(device, what, pictures, join(out, what.name), screen);
      await writePage(out, pageFile);
      screen.print(`Wrote ${pageFile}`);
    }
  } finally {
    screen.idle();
    device?.close();
  }
  stopSignal.throwIfAborted();
}

/** What would have no effect is refused. @throws ClipCapError `bad-usage` */
function checkOptions({ only, fullSize, dryRun, epochs, data, images, clip, gpt2 }: Options): void {
  const refuse = (what: string) => {
    throw new ClipCapError("bad-usage", what);
  };
  if (only !== undefined && only !== "scenes" && only !== "flickr8k")
    refuse(`--only is ${only}; give scenes or flickr8k`);
  if (only !== undefined && fullSize) refuse("--full-size is an experiment of its own; leave --only out");
  if (only === "scenes" && data !== undefined) refuse("scenes are drawn; leave --data out");
  if (images !== undefined && data === undefined) refuse("--images belongs to --data; give both");
  if (!fullSize && (clip ?? gpt2) !== undefined) refuse("--clip and --gpt2 belong to --full-size; leave them out");
  const given = [epochs, data, clip, gpt2].some((value) => value !== undefined);
  if (dryRun && given)
    refuse("--dry-run makes up data, networks and budget; leave --epochs, --data, --clip and --gpt2 out");
}

function namesOf({ only, fullSize }: Options): readonly ExperimentName[] {
  if (fullSize) return ["coco"];
  return only === undefined ? ["scenes", "flickr8k"] : [only];
}

/** The wishes with the data they need; undefined where there is none. */
async function withData(name: ExperimentName, o: Options, out: string, screen: Screen): Promise<Wishes | undefined> {
  const folder = join(out, "made-up", name);
  if (name === "scenes") return o;
  if (o.dryRun) return { ...o, ...(await (name === "coco" ? madeUpCoco(folder) : madeUpFlickr8k(folder))) };
  if (name === "coco" || o.data !== undefined) return o;
  if (existsSync(FLICKR8K)) return { ...o, data: FLICKR8K };
  screen.note(HOW_TO_GET_FLICKR8K);
}

/** Runs what is left to run of an experiment; FOLDER/results.json holds its numbers then. */
async function reproduce(device: Device, what: Experiment, pictures: Pictures, folder: string, screen: Screen) {
  const material = await embedAll(device, what, pictures, screen);
  const trials: Trial[] = [];
  for (const arm of what.arms) trials.push(await runTrial(device, arm, material, { folder, screen }));
  screen.progress("scoring");
  const result = resultOf(what, material, trials);
  await writeText(join(folder, "captions.md"), `${sampleTable(result, "all")}\n`);
  if (what.name === "scenes") await drawSamples(result, material, folder);
  const runs = what.arms.map(({ variant }) => join(folder, variant));
  await writeReport(runs, join(folder, "training.html"));
  await writeJson(join(folder, "results.json"), result);
}

/** The sampled scenes beside results.json, from where the page takes them. */
async function drawSamples({ samples }: ExperimentResult, { test }: Material, folder: string): Promise<void> {
  for (const [i, { id }] of samples.entries()) {
    const { width, height, data } = await test.find((image) => image.id === id)!.decode();
    const png = await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer();
    await writeAtomically(join(folder, `scene-${i + 1}.png`), (sink) => sink.write(png));
  }
}

/** The page about all experiments that are finished in OUT. */
async function writePage(out: string, file: string): Promise<void> {
  const finished = EXPERIMENTS.filter((name) => existsSync(join(out, name, "results.json")));
  const results = await Promise.all(
    finished.map(async (name): Promise<ExperimentResult> => {
      return JSON.parse(await readFile(join(out, name, "results.json"), "utf8"));
    }),
  );
  const pictures = join(dirname(file), PICTURES);
  await mkdir(pictures, { recursive: true });
  for (const result of results) {
    await writeText(join(pictures, `loss-${result.name}.svg`), lossChart(result));
    if (result.name !== "scenes") continue;
    for (const i of result.samples.keys()) {
      const png = await readFile(join(out, result.name, `scene-${i + 1}.png`));
      await writeAtomically(join(pictures, `scene-${i + 1}.png`), (sink) => sink.write(png));
    }
  }
  await writeText(file, page(results));
}

function writeText(path: string, text: string): Promise<void> {
  return writeAtomically(path, (sink) => sink.write(Buffer.from(text)));
}

watchForStop();
await main(process.argv).catch((error) => {
  const { message, exitCode } = outcome(error);
  if (message) process.stderr.write(`${message.replace(/^clipcap/, "reproduce")}\n`);
  process.exitCode = exitCode;
});
