import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { DEFAULT_MODEL } from "../node/model.js";
import { ClipCapError } from "../runtime/errors.js";
import { parseTrainConfig, type TrainConfig } from "../train/config.js";
import { SCENES } from "../train/node-networks.js";
import { type JsonObject, parseJsonObject } from "../weights/json-fields.js";
import { fileError } from "../weights/node-source.js";
import { RAW_ORIENTATION } from "./images.js";
import type { CommonOptions } from "./options.js";
import type { TraceOptions } from "./trace.js";

/** Flags that stand for fields of a configuration (docs/training.md). */
export interface ConfigFlags {
  readonly config?: string;
  readonly data?: string;
  readonly images?: string;
  readonly format?: string;
  readonly rawOrientation?: boolean;
  readonly clip?: string;
  readonly gpt2?: string;
  readonly model?: string;
  readonly mapper?: string;
  readonly prefixLength?: number;
  readonly clipLength?: number;
  readonly layers?: number;
  readonly finetuneGpt2?: boolean;
  readonly trainClip?: boolean;
  readonly normalizePrefix?: boolean;
  readonly epochs?: number;
  readonly steps?: number;
  readonly batch?: number;
  readonly microBatch?: number;
  readonly lr?: number;
  readonly warmupSteps?: number;
  readonly patience?: number;
  readonly seed?: number;
  readonly compat?: boolean;
}

export interface TrainFlags extends CommonOptions, ConfigFlags, TraceOptions {
  readonly out?: string;
  readonly resume?: boolean;
  readonly dryRun?: boolean;
}

/** Configurations that come with the package, beside src and dist. */
const RECIPES = new URL("../../recipes/", import.meta.url);

export function withConfigOptions(command: Command, numeric: (flag: string) => (text: string) => number): void {
  const number = (flag: string, what: string) => command.option(`${flag} <n>`, what, numeric(flag));
  command
    .optionsGroup("Data:")
    .option("--data <file>", 'captions (COCO, Karpathy, Flickr, CSV, JSON lines, folder, .tar), or "scenes"')
    .option("--images <dir>", "folder of the pictures that --data names")
    .option("--format <name>", "format of --data, where it is not recognised")
    .option(...RAW_ORIENTATION)
    .optionsGroup("Networks:")
    .option(
      "--config <file|name>",
      "configuration (docs/training.md), or the name of one in recipes/; flags win over it",
    )
    .option("--model <dir|name>", `model folder that CLIP and GPT-2 come from (default: ${DEFAULT_MODEL})`)
    .option("--clip <dir>", "Hugging Face folder of CLIP")
    .option("--gpt2 <dir>", "Hugging Face folder of GPT-2")
    .addOption(
      command.createOption("--mapper <type>", "mapper between them (default: mlp)").choices(["mlp", "transformer"]),
    );
  number("--prefix-length", "K: vectors that the mapper makes (default: 10)");
  number("--clip-length", "of the transformer mapper (default: K)");
  number("--layers", "of the transformer mapper (default: 8)");
  command
    .option("--normalize-prefix", "scale embeddings to length 1")
    .option("--finetune-gpt2", "train GPT-2 too, with dropout")
    .option(
      "--train-clip",
      "train CLIP too, with the contrastive loss (its scale exp(logit_scale) stays at most 100) and one caption of a picture an epoch",
    )
    .optionsGroup("Training:");
  number("--epochs", "times that the data is seen (default: 10)");
  number("--steps", "updates, instead of epochs");
  number("--batch", "examples of an update (default: 40)");
  number(
    "--micro-batch",
    "examples on the device, and in the contrastive loss, at once; gradients are added up (default: all)",
  );
  number("--lr", "highest learning rate (default: 2e-5)");
  number("--warmup-steps", "updates until it is reached (default: 5 % of all)");
  number("--patience", "looks at the validation pictures without progress before training ends (default: never)");
  number("--seed", "of everything that is random (default: 0)");
  command.option(
    "--compat",
    "as the original: its AdamW, warm-up, token 0 not learnt, captions and pictures as stored, f16 embeddings",
  );
}

/** The file's configuration with what the flags say, and its checked form. @throws ClipCapError `bad-usage`, `not-found` */
export async function configFrom(flags: ConfigFlags): Promise<{ json: JsonObject; config: TrainConfig }> {
  const base = await baseOf(flags);
  const json = merge(merge(base, flags.compat ? COMPAT : {}), fromFlags(flags, base));
  const { data = {} } = json;
  if (isObject(data) && data.source == null)
    throw new ClipCapError("bad-usage", `--data is missing; name a file or folder of captions, or "${SCENES}"`);
  return { json, config: parseTrainConfig(json, flags.config ?? "the configuration") };
}

/** What --config names: a file, or else a recipe, even where the run's folder is called like it. */
async function baseOf({ config, data }: ConfigFlags): Promise<JsonObject> {
  if (config === undefined) return data === SCENES ? readConfig(recipePath(SCENES)) : {};
  const isFile = statSync(config, { throwIfNoEntry: false })?.isFile();
  const recipe = /^[\w-]+$/.test(config) ? recipePath(config) : undefined;
  return readConfig(!isFile && recipe && existsSync(recipe) ? recipe : config);
}

function recipePath(name: string): string {
  return fileURLToPath(new URL(`${name}.json`, RECIPES));
}

async function readConfig(path: string): Promise<JsonObject> {
  const text = await readFile(path, "utf8").catch((cause) => {
    throw fileError(path, cause);
  });
  return parseJsonObject(path, text);
}

/** The original's habits (docs/facts.md 3). */
const COMPAT: JsonObject = {
  optimizer: { type: "hf2021", betas: null, eps: null, weight_decay: null, max_norm: null },
  schedule: { type: "linear", lr: 2e-5, warmup_steps: 5000, warmup_fraction: null, final: null },
  data: {
    normalise: false,
    raw_orientation: true,
    end_token: false,
    ignored_id: 0,
    f16_embeddings: true,
    captions: null, // each, but where CLIP learns from the contrastive loss, which the original has not
  },
  augment: null,
  pool: 1,
};

function fromFlags(f: ConfigFlags, base: JsonObject): JsonObject {
  const { model = "networks" in base ? undefined : DEFAULT_MODEL } = f;
  const { train = ["mapper"] } = base; // of another kind it is refused later
  const also = [...(f.trainClip ? ["clip"] : []), ...(f.finetuneGpt2 ? ["gpt2"] : [])];
  return defined({
    data: defined({ source: f.data, images: f.images, format: f.format, raw_orientation: f.rawOrientation }),
    networks: defined({ clip: f.clip ?? model, gpt2: f.gpt2 ?? model }),
    mapper: defined({ type: f.mapper, prefix_length: f.prefixLength, clip_length: f.clipLength, num_layers: f.layers }),
    train: also.length > 0 && Array.isArray(train) ? [...new Set([...train, ...also])] : undefined,
    loss: f.trainClip && !("loss" in base) ? { contrastive: 0.5 } : undefined,
    normalize_prefix: f.normalizePrefix,
    // One of the two replaces the other of the file.
    epochs: f.epochs ?? (f.steps === undefined ? undefined : null),
    steps: f.steps ?? (f.epochs === undefined ? undefined : null),
    batch: f.batch,
    micro_batch: f.microBatch ?? (f.batch === undefined ? undefined : null),
    schedule: defined({
      lr: f.lr,
      warmup_steps: f.warmupSteps,
      warmup_fraction: f.warmupSteps === undefined ? undefined : null,
    }),
    evaluate: defined({ patience: f.patience }),
    seed: f.seed,
  });
}

function defined(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

/** `over` wins; objects are merged, null takes a field away. */
function merge(under: JsonObject, over: JsonObject): JsonObject {
  const out: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const before = out[key];
    if (value === null) delete out[key];
    else if (isObject(value)) out[key] = merge(isObject(before) ? before : {}, value);
    else out[key] = value;
  }
  return out;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One sentence for flags that contradict each other. @throws ClipCapError `bad-usage` */
export function checkFlags({ out, resume, dryRun, json, quiet, device, trace, ...config }: TrainFlags): void {
  const [given] = Object.keys(config);
  if (resume && given !== undefined) {
    const flag = `--${given.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
    throw new ClipCapError(
      "bad-usage",
      `--resume goes on with the configuration of the run; leave ${flag} out, or edit config.json in --out`,
    );
  }
  if (dryRun && trace !== undefined)
    throw new ClipCapError("bad-usage", "--dry-run runs nothing that --trace could show; leave one of them out");
  const { epochs, steps, clip, gpt2, model, mapper, clipLength, layers, data, images, format, rawOrientation } = config;
  if (epochs !== undefined && steps !== undefined)
    throw new ClipCapError("bad-usage", "give --epochs or --steps, not both");
  if (model !== undefined && clip !== undefined && gpt2 !== undefined) {
    throw new ClipCapError("bad-usage", "--model is of no use where --clip and --gpt2 are given; leave it out");
  }
  if (mapper === "mlp" && (clipLength !== undefined || layers !== undefined)) {
    throw new ClipCapError("bad-usage", "--clip-length and --layers belong to --mapper transformer; leave them out");
  }
  if (data === SCENES && (images ?? format ?? rawOrientation) !== undefined) {
    throw new ClipCapError("bad-usage", "scenes are drawn; leave --images, --format and --raw-orientation out");
  }
}
