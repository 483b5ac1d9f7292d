import { type DatasetFormat, FORMATS } from "../data/captions/dataset.js";
import { AS_WRITTEN, type NormaliseOptions } from "../data/captions/normalise.js";
import type { Augmentation } from "../data/image/augment.js";
import { asObject, Fields, type JsonObject } from "../weights/json-fields.js";
import { INITIAL_EMBEDDINGS, type InitialEmbeddings } from "./initial.js";
import { PARTS, type PartName } from "./model.js";
import { ADAMW_DEFAULTS, type AdamWOptions } from "./optimizer.js";
import type { ScheduleOptions } from "./schedule.js";

/** Where CLIP or GPT-2 comes from: a Hugging Face folder, or nothing but a configuration, with a tokenizer's folder. */
export type NetworkChoice =
  | { readonly folder: string }
  | {
      readonly config: JsonObject;
      readonly tokenizer: string | undefined;
      /** How embeddings of CLIP's vision tower are drawn. */
      readonly initial: InitialEmbeddings;
    };

/** All that decides about a training run; the file is described in docs/training.md. */
export interface TrainConfig {
  readonly name: string;
  readonly seed: number;
  readonly clip: NetworkChoice;
  readonly gpt2: NetworkChoice;
  readonly mapper: {
    readonly type: "mlp" | "transformer";
    readonly prefixLength: number;
    readonly clipLength: number;
    readonly layers: number;
    /** Folder of a model whose mapper training goes on with. */
    readonly from: string | undefined;
  };
  readonly normalizePrefix: boolean;
  readonly train: readonly PartName[];
  readonly data: {
    readonly source: string;
    readonly images: string | undefined;
    readonly format: DatasetFormat | undefined;
    /** How many drawn scenes there are, and their size in pixels, where the source is "scenes". */
    readonly scenes: { readonly train: number; readonly dev: number; readonly size: number };
    /** Share of the pictures kept for validation where the data names no split. */
    readonly dev: number;
    /**
     * Whether an epoch takes every caption of a picture, or some of them, drawn anew, behind one encoding of it. With the
     * contrastive loss one is the default: two examples of a picture in a batch would count as unlike each other.
     */
    readonly captions: "each" | number;
    readonly normalise: NormaliseOptions;
    /** Whether pictures are seen as they are stored, whatever orientation their EXIF data names. */
    readonly rawOrientation: boolean;
    /** Whether GPT-2's end of text is learnt after every caption. */
    readonly endToken: boolean;
    /** Label that is not learnt, and embeddings rounded to f16: the original's habits (docs/facts.md 3). */
    readonly ignoredId: number | undefined;
    readonly f16Embeddings: boolean;
  };
  readonly augment: Augmentation | undefined;
  readonly batch: number;
  readonly microBatch: number;
  readonly pool: number;
  readonly length: { readonly epochs: number } | { readonly steps: number };
  readonly loss: { readonly caption: number; readonly contrastive: number };
  readonly optimizer: Omit<AdamWOptions, "loss" | "label">;
  readonly schedule: Pick<ScheduleOptions, "shape" | "peak" | "warmup">;
  /** Rate of GPT-2's three dropouts. */
  readonly dropout: number;
  readonly evaluate: {
    /** Steps between two looks at the validation pictures; 0: once an epoch. */
    readonly every: number;
    readonly images: number;
    readonly samples: number;
    /** Training ends after so many looks without a better loss; 0: never early. */
    readonly patience: number;
  };
  /** Steps between two checkpoints; 0: at every look at the validation pictures. */
  readonly checkpointEvery: number;
  /** Updates in a row that may be skipped because of NaN or infinity. */
  readonly maxSkipped: number;
}

const MAX_BATCH = 65_536;
/** Captions of a picture in one update; COCO has five of each. */
const MAX_CAPTIONS = 16;
const MAX_STEPS = 1_000_000_000;

/**
 * Checks a configuration; what it leaves out is as in the original training, where docs/facts.md does not call it a mistake.
 * @param where name of the file for messages
 * @throws ClipCapError `bad-usage` naming the field
 */
export function parseTrainConfig(json: JsonObject, where: string): TrainConfig {
  const f = new Fields(where, json, "bad-usage");
  refuseUnknown(f, KNOWN);
  const networks = section(f, "networks", ["clip", "gpt2"]);
  const batch = f.int("batch", 40, 1, MAX_BATCH);
  const microBatch = f.int("micro_batch", batch, 1, batch);
  if (batch % microBatch !== 0) throw f.error("micro_batch", `a divisor of the batch of ${batch}`);
  const train = parts(f);
  const loss = losses(f, train);
  return {
    name: f.text("name") ?? "clipcap",
    seed: f.int("seed", 0, 0, 0xffff_ffff),
    clip: network(networks, "clip"),
    gpt2: network(networks, "gpt2"),
    mapper: mapper(f),
    normalizePrefix: f.bool("normalize_prefix", false),
    train,
    data: data(f, loss),
    augment: augmentation(f, train),
    batch,
    microBatch,
    pool: f.int("pool", 16, 1, 100_000),
    length: runLength(f),
    loss,
    optimizer: optimizer(f),
    schedule: schedule(f),
    dropout: f.float("dropout", train.includes("gpt2") ? 0.1 : 0, 0, 0.99),
    evaluate: evaluation(f),
    checkpointEvery: f.int("checkpoint_every", 0, 0, MAX_STEPS),
    maxSkipped: f.int("max_skipped", 10, 0, 1_000_000),
  };
}

const KNOWN = [
  "name",
  "seed",
  "networks",
  "mapper",
  "normalize_prefix",
  "train",
  "data",
  "augment",
  "batch",
  "micro_batch",
  "pool",
  "epochs",
  "steps",
  "loss",
  "optimizer",
  "schedule",
  "dropout",
  "evaluate",
  "checkpoint_every",
  "max_skipped",
];

/** A misspelt setting must not be ignored. */
function refuseUnknown(f: Fields, known: readonly string[]): void {
  const unknown = Object.keys(f.values).find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw f.error(unknown, `left out: there is no such setting (there are ${known.join(", ")})`);
}

function section(f: Fields, key: string, known: readonly string[]): Fields {
  const fields = f.object(key);
  refuseUnknown(fields, known);
  return fields;
}

function network(f: Fields, key: "clip" | "gpt2"): NetworkChoice {
  const value = f.values[key];
  if (typeof value === "string" && value !== "") return { folder: value };
  if (typeof value !== "object" || value === null)
    throw f.error(key, 'a folder, or {"config": {…}} for an untrained network');
  const fields = section(f, key, key === "clip" ? ["config", "tokenizer", "initial"] : ["config", "tokenizer"]);
  const initial = section(fields, "initial", ["patches", "positions"]);
  return {
    config: asObject(`${fields.where}: config`, fields.values.config, "bad-usage"),
    tokenizer: fields.text("tokenizer"),
    initial: {
      patches: initial.float("patches", INITIAL_EMBEDDINGS.patches, 0, 10),
      positions: initial.float("positions", INITIAL_EMBEDDINGS.positions, 0, 10),
    },
  };
}

function mapper(f: Fields): TrainConfig["mapper"] {
  const m = section(f, "mapper", ["type", "prefix_length", "clip_length", "num_layers", "from"]);
  const from = m.text("from");
  if (from !== undefined) refuseWith(m, "from", ["type", "prefix_length", "clip_length", "num_layers"]);
  const type = m.word("type", ["mlp", "transformer"], "mlp");
  if (type === "mlp" && from === undefined) refuse(m, ["clip_length", "num_layers"], 'unless "type" is transformer');
  const prefixLength = m.int("prefix_length", 10, 1, 1000);
  return {
    type,
    prefixLength,
    clipLength: m.int("clip_length", prefixLength, 1, 1000),
    layers: m.int("num_layers", 8, 1, 1000),
    from,
  };
}

/** A setting that would have no effect must not look as if it had one. */
function refuse(f: Fields, keys: readonly string[], unless: string): void {
  const given = keys.find((key) => f.values[key] != null);
  if (given !== undefined) throw f.error(given, `left out ${unless}`);
}

function refuseWith(f: Fields, winner: string, losers: readonly string[]): void {
  if (f.values[winner] != null) refuse(f, losers, `where "${winner}" is given`);
}

function runLength(f: Fields): TrainConfig["length"] {
  refuseWith(f, "steps", ["epochs"]);
  return f.values.steps == null
    ? { epochs: f.int("epochs", 10, 1, 1_000_000) }
    : { steps: f.int("steps", undefined, 1, MAX_STEPS) };
}

function parts(f: Fields): PartName[] {
  const value = f.values.train ?? ["mapper"];
  const known = (name: unknown) => PARTS.some((part) => part === name);
  if (!Array.isArray(value) || value.length === 0 || !value.every(known)) {
    throw f.error("train", `a list of some of ${PARTS.join(", ")}`);
  }
  return PARTS.filter((part) => value.includes(part));
}

function data(f: Fields, loss: TrainConfig["loss"]): TrainConfig["data"] {
  const d = section(f, "data", [
    "source",
    "images",
    "format",
    "scenes",
    "dev",
    "captions",
    "normalise",
    "raw_orientation",
    "end_token",
    "ignored_id",
    "f16_embeddings",
  ]);
  const scenes = section(d, "scenes", ["train", "dev", "size"]);
  const source = d.text("source");
  if (!source) throw d.error("source", 'a file or folder of captions, or "scenes"');
  const captions = d.values.captions ?? (loss.contrastive > 0 ? 1 : "each");
  return {
    source,
    images: d.text("images"),
    format: d.values.format == null ? undefined : d.word("format", FORMATS),
    scenes: {
      train: scenes.int("train", 100_000, 1, 1_000_000),
      dev: scenes.int("dev", 200, 0, 1_000_000),
      size: scenes.int("size", 64, 16, 1024),
    },
    dev: d.float("dev", 0.02, 0, 0.9),
    captions: captions === "each" ? captions : d.int("captions", 1, 1, MAX_CAPTIONS),
    normalise: normalisation(d),
    rawOrientation: d.bool("raw_orientation", false),
    endToken: d.bool("end_token", false),
    ignoredId: d.values.ignored_id == null ? undefined : d.int("ignored_id", undefined, 0),
    f16Embeddings: d.bool("f16_embeddings", false),
  };
}

const NORMALISATION = ["spaces", "punctuation", "lowercase", "capital", "period"] as const;

function normalisation(d: Fields): NormaliseOptions {
  const value = d.values.normalise ?? true;
  if (typeof value === "boolean") return value ? {} : AS_WRITTEN;
  if (typeof value !== "object") throw d.error("normalise", `true, false, or an object of ${NORMALISATION.join(", ")}`);
  const steps = section(d, "normalise", NORMALISATION);
  const given = NORMALISATION.filter((step) => steps.values[step] != null);
  return Object.fromEntries(given.map((step) => [step, steps.bool(step, false)]));
}

function augmentation(f: Fields, train: readonly PartName[]): Augmentation | undefined {
  if (f.values.augment == null) return undefined;
  const a = section(f, "augment", ["area", "ratio", "flip", "jitter"]);
  const checked = {
    area: range(a, "area", [1, 1], 0.01, 1),
    ratio: range(a, "ratio", [1, 1], 0.1, 10),
    flip: a.bool("flip", false),
    jitter: a.float("jitter", 0, 0, 0.99),
  };
  if (!train.includes("clip")) refuse(f, ["augment"], 'unless "train" names clip: its embeddings are computed once');
  return checked;
}

function range(f: Fields, key: string, fallback: [number, number], min: number, max: number): [number, number] {
  const value = f.values[key] ?? fallback;
  const fits =
    Array.isArray(value) && value.length === 2 && value.every((x) => Number.isFinite(x) && x >= min && x <= max);
  if (!fits || value[0] > value[1]) throw f.error(key, `two numbers from ${min} to ${max}, the smaller first`);
  return [value[0], value[1]];
}

function losses(f: Fields, train: readonly PartName[]): TrainConfig["loss"] {
  const l = section(f, "loss", ["caption", "contrastive"]);
  const loss = { caption: l.float("caption", 1, 0, 1e6), contrastive: l.float("contrastive", 0, 0, 1e6) };
  if (loss.caption === 0) throw l.error("caption", "above 0");
  if (loss.contrastive > 0 && !train.includes("clip")) {
    throw l.error("contrastive", '0 unless "train" names clip: nothing else learns from it');
  }
  return loss;
}

function optimizer(f: Fields): TrainConfig["optimizer"] {
  const o = section(f, "optimizer", ["type", "betas", "eps", "weight_decay", "max_norm"]);
  const usual = ADAMW_DEFAULTS[o.word("type", ["torch", "hf2021"], "torch")];
  const [beta1, beta2] = betas(o, [usual.beta1, usual.beta2]);
  const maxNorm = o.values.max_norm == null ? undefined : o.float("max_norm", undefined, 1e-9, 1e9);
  return {
    variant: usual.variant,
    beta1,
    beta2,
    eps: o.float("eps", usual.eps, 1e-30, 1),
    weightDecay: o.float("weight_decay", usual.weightDecay, 0, 1000),
    ...(maxNorm !== undefined && { maxNorm }),
  };
}

function betas(o: Fields, fallback: readonly [number, number]): readonly [number, number] {
  const value = o.values.betas ?? fallback;
  const fits = Array.isArray(value) && value.length === 2 && value.every((b) => Number.isFinite(b) && b >= 0 && b < 1);
  if (!fits) throw o.error("betas", "two numbers from 0 to below 1");
  return [value[0], value[1]];
}

function schedule(f: Fields): TrainConfig["schedule"] {
  const s = section(f, "schedule", ["type", "lr", "final", "warmup_steps", "warmup_fraction"]);
  const type = s.word("type", ["constant", "linear", "cosine"], "linear");
  if (type !== "cosine") refuse(s, ["final"], 'unless "type" is cosine');
  refuseWith(s, "warmup_steps", ["warmup_fraction"]);
  const warmup =
    s.values.warmup_steps == null
      ? { fraction: s.float("warmup_fraction", 0.05, 0, 1) }
      : { steps: s.int("warmup_steps", undefined, 0, MAX_STEPS) };
  return {
    shape: type === "cosine" ? { type, final: s.float("final", 0, 0, 1) } : { type },
    peak: s.float("lr", 2e-5, 0, 1e30),
    warmup,
  };
}

function evaluation(f: Fields): TrainConfig["evaluate"] {
  const e = section(f, "evaluate", ["every", "images", "samples", "patience"]);
  return {
    every: e.int("every", 0, 0, MAX_STEPS),
    images: e.int("images", 200, 0, 1_000_000),
    samples: e.int("samples", 8, 0, 256),
    patience: e.int("patience", 0, 0, 1_000_000),
  };
}
