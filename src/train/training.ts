import type { CaptionedImage } from "../data/captions/dataset.js";
import { random } from "../data/random.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { countLabels, type HostBatch, packBatch, shapeOf, type Text } from "./batch.js";
import { Captioner } from "./captioner.js";
import type { TrainConfig } from "./config.js";
import type { ImageInput } from "./images.js";
import { type ModelSources, TrainingModel } from "./model.js";
import type { BatchShape } from "./objective.js";
import { DataOrder, type Example } from "./order.js";
import { learningRates } from "./schedule.js";
import { type PendingStep, Trainer } from "./trainer.js";

/** Pictures with their captions in tokens, and what the network sees of them. */
export interface TrainingSet {
  readonly images: readonly CaptionedImage[];
  /** By picture, then caption. */
  readonly texts: readonly (readonly Text[])[];
  readonly input: ImageInput;
}

export interface TrainingParts {
  readonly config: TrainConfig;
  readonly sources: ModelSources;
  readonly train: TrainingSet;
  /** Pictures for validation; may be empty. */
  readonly dev: TrainingSet;
  /** Ids that end a caption when one is decoded. */
  readonly stop: readonly number[];
  readonly signal?: AbortSignal;
}

/** A step under way, with what it works on. */
export interface Underway {
  readonly pending: PendingStep;
  /** Updates done when it is. */
  readonly step: number;
  readonly lr: number;
  readonly images: number;
  /** Labelled tokens. */
  readonly tokens: number;
}

export interface DevLosses {
  /** Nats a token. */
  readonly caption: number;
  readonly contrastive: number | undefined;
  /** With the factors of the configuration: what "best" goes by. */
  readonly total: number;
}

/** Captions decoded at once for validation. */
const CAPTIONS_AT_ONCE = 50;
/** Longest caption that is decoded for validation; photos' captions have some 12 tokens. */
const MAX_CAPTION_TOKENS = 40;
/** Steps whose batches are looked at for their shapes before the first; ten epochs of COCO are 142,000. */
const PREPARED_STEPS = 200_000;
/** Pictures assembled at the same time; decoding happens in libuv's four threads. */
const ASSEMBLED_AT_ONCE = 8;

/** A training run on a device: networks, programs, the order of the data. It knows no files. */
export class Training {
  readonly order: DataOrder;
  readonly totalSteps: number;
  private readonly rate: (step: number) => number;
  private ahead: { readonly step: number; readonly batches: Promise<HostBatch[]> } | undefined;

  private constructor(
    readonly device: Device,
    readonly parts: TrainingParts,
    readonly model: TrainingModel,
    readonly trainer: Trainer,
    readonly captioner: Captioner | undefined,
  ) {
    this.order = orderOf(parts);
    const { length, schedule } = parts.config;
    this.totalSteps = "steps" in length ? length.steps : length.epochs * this.order.stepsPerEpoch;
    this.rate = learningRates({ ...schedule, total: this.totalSteps });
  }

  /**
   * Loads the networks and compiles the programs of all batches: a step creates nothing, and memory stays as it is.
   * @throws ClipCapError `bad-input` where the data does not fill a batch; `out-of-memory`; nothing stays allocated.
   */
  static async create(device: Device, parts: TrainingParts): Promise<Training> {
    const { config, sources, train, dev, signal } = parts;
    checkExamples(parts);
    const contrastive = config.loss.contrastive > 0;
    const model = await TrainingModel.create(device, sources, { contrastive, signal });
    let trainer: Trainer | undefined;
    let captioner: Captioner | undefined;
    try {
      const inputShape = train.input.shape;
      const { normalizePrefix, optimizer, dropout, microBatch } = config;
      const longest = (part: keyof Text) =>
        [train, dev]
          .flatMap(({ texts }) => texts)
          .reduce((n, t) => t.reduce((m, x) => Math.max(m, x[part].length), n), 0);
      trainer = await Trainer.create(device, model, {
        inputShape,
        normalizePrefix,
        optimizer,
        dropout,
        contrastive: (config.loss.contrastive * microBatch) / config.batch,
        largest: largestShape(microBatch, longest("gpt2"), longest("clip"), parts),
      });
      const captions = Math.min(CAPTIONS_AT_ONCE, config.evaluate.images, dev.images.length);
      if (captions > 0) {
        captioner = await Captioner.create(device, model, {
          batch: captions,
          inputShape,
          normalizePrefix,
          maxTokens: Math.min(MAX_CAPTION_TOKENS, maxTokens(parts)),
          stop: parts.stop,
        });
      }
      const training = new Training(device, parts, model, trainer, captioner);
      await training.prepare();
      return training;
    } catch (error) {
      captioner?.free();
      trainer?.free();
      model.free();
      throw error;
    }
  }

  epochOf(step: number): number {
    return step / this.order.stepsPerEpoch;
  }

  /** All that the run will need on the device: its programs, and the buffers through which parameters are read back. */
  private async prepare(): Promise<void> {
    const { config, train, dev } = this.parts;
    const { trainer, model, order } = this;
    for (let step = 0; step < Math.min(PREPARED_STEPS, this.totalSteps); step++) {
      for (const group of inGroups(order.batch(step), config.microBatch))
        await trainer.prepare(this.shapeOf(train, group, captionsAtOnce(config)), "train");
    }
    for (const group of inGroups(this.devExamples(), config.microBatch))
      await trainer.prepare(this.shapeOf(dev, group, 1), "evaluate");
    for (const { name } of model.store.parameters) await model.store.read(name);
  }

  /** Submits update number step + 1; meanwhile the pictures of the next one are assembled. */
  async submit(step: number): Promise<Underway> {
    const { config } = this.parts;
    const batches = await (this.ahead?.step === step ? this.ahead.batches : this.assemble(step));
    const seeds = random(config.seed, "dropout", step);
    const lr = this.rate(step);
    const pending = await this.trainer.step(batches, {
      lr,
      t: step + 1,
      seeds: batches.map((_, i) => seeds.below(2 ** 32, i)),
    });
    if (step + 1 < this.totalSteps) {
      this.ahead = { step: step + 1, batches: this.assemble(step + 1) };
      this.ahead.batches.catch(() => {}); // heard of when it is that step's turn
    }
    const tokens = batches.reduce((n, { weights }) => n + weights.reduce((m, w) => m + (w > 0 ? 1 : 0), 0), 0);
    return { pending, step: step + 1, lr, images: config.batch, tokens };
  }

  /**
   * Loss of the validation pictures, each with one of its captions, always the same. The contrastive loss compares the
   * pictures of a micro-batch and grows with their number: one of fewer at the end counts by its pictures, a single one
   * not at all.
   * @throws ClipCapError `aborted`
   */
  async validate(signal?: AbortSignal): Promise<DevLosses | undefined> {
    const { config, dev } = this.parts;
    const { loss, microBatch } = config;
    const examples = this.devExamples();
    if (examples.length === 0) return undefined;
    const labels = countLabels(textsOf(dev, examples, 1), config.data.ignoredId);
    const groups = inGroups(examples, microBatch);
    const full = groups.filter(({ length }) => length === microBatch);
    const ragged = groups.slice(full.length);
    const compared = examples.length - (ragged[0]?.length === 1 ? 1 : 0);
    const sums = { caption: 0, contrastive: 0 };
    for (const alike of [full, ragged]) {
      if (alike.length === 0) continue;
      const { caption, total } = await this.trainer.evaluate(this.packed(alike, 1 / labels, signal));
      sums.caption += caption;
      if (loss.contrastive === 0 || alike[0]!.length === 1) continue;
      const each = (total - caption) / ((loss.contrastive * microBatch) / config.batch);
      sums.contrastive += each * (alike[0]!.length / compared);
    }
    return {
      caption: sums.caption,
      contrastive: loss.contrastive > 0 ? sums.contrastive : undefined,
      total: loss.caption * sums.caption + loss.contrastive * sums.contrastive,
    };
  }

  private async *packed(groups: readonly (readonly Example[])[], weight: number, signal: AbortSignal | undefined) {
    for (const group of groups) {
      if (signal?.aborted) throw new ClipCapError("aborted", "the look at the validation pictures was stopped");
      yield await this.pack(this.parts.dev, group, { captions: 1, weight });
    }
  }

  /** Captions of validation pictures, in tokens. @throws ClipCapError `aborted` */
  async captionsOf(images: readonly number[], signal?: AbortSignal): Promise<(readonly number[])[]> {
    return this.captioner ? this.captioner.captions(images, this.parts.dev.input, signal) : [];
  }

  /** Validation pictures that are looked at. */
  devImages(): number[] {
    const { config, dev } = this.parts;
    return Array.from({ length: Math.min(config.evaluate.images, dev.images.length) }, (_, i) => i);
  }

  /** They, each with the caption of which the loss is taken. */
  private devExamples(): Example[] {
    const { config, dev } = this.parts;
    const pick = random(config.seed, "dev");
    return this.devImages().map((image) => ({ image, caption: pick.below(dev.texts[image]!.length, image) }));
  }

  private shapeOf(set: TrainingSet, examples: readonly Example[], captions: number): BatchShape {
    return shapeOf(textsOf(set, examples, captions), examples.length, longestTexts(this.parts));
  }

  free(): void {
    this.captioner?.free();
    this.trainer.free();
    this.model.free();
  }

  private async assemble(step: number): Promise<HostBatch[]> {
    const { config, train } = this.parts;
    const examples = this.order.batch(step);
    const epoch = Math.floor(this.epochOf(step));
    const captions = captionsAtOnce(config);
    const labels = countLabels(textsOf(train, examples, captions), config.data.ignoredId);
    const weight = config.loss.caption / Math.max(1, labels);
    const batches: HostBatch[] = [];
    for (const group of inGroups(examples, config.microBatch)) {
      batches.push(await this.pack(train, group, { captions, weight, epoch }));
    }
    return batches;
  }

  private async pack(
    set: TrainingSet,
    examples: readonly Example[],
    { captions, weight, epoch }: { captions: number; weight: number; epoch?: number },
  ): Promise<HostBatch> {
    const size = set.input.shape.reduce((n, d) => n * d, 1);
    const input = new Float32Array(examples.length * size);
    for (const group of inGroups([...examples.entries()], ASSEMBLED_AT_ONCE)) {
      await Promise.all(group.map(async ([i, { image }]) => input.set(await set.input.values(image, epoch), i * size)));
    }
    return packBatch(textsOf(set, examples, captions), examples.length, input, {
      ...longestTexts(this.parts),
      prefixLength: this.parts.sources.mapper.config.prefixLength,
      weight,
      ignored: this.parts.config.data.ignoredId,
    });
  }
}

/** Of each example one caption, then of each the next one, until there are `captions` of each. */
function textsOf(set: TrainingSet, examples: readonly Example[], captions: number): Text[] {
  return Array.from({ length: captions }, (_, m) =>
    examples.map(({ image, caption }) => {
      const texts = set.texts[image]!;
      return texts[(caption + m) % texts.length]!;
    }),
  ).flat();
}

/** Captions of an example that share one encoding of its picture. */
function captionsAtOnce({ data: { captions } }: TrainConfig): number {
  return captions === "each" ? 1 : captions;
}

function longestTexts(parts: TrainingParts): { readonly maxTokens: number; readonly maxTextTokens: number } {
  return { maxTokens: maxTokens(parts), maxTextTokens: parts.sources.clip?.config.text.positions ?? 0 };
}

/** Tokens of a caption that GPT-2 has positions for behind the prefix. */
export function maxTokens({ sources: { gpt2, mapper } }: Pick<TrainingParts, "sources">): number {
  return gpt2.config.positions - mapper.config.prefixLength;
}

function orderOf({ config, train }: TrainingParts): DataOrder {
  const { seed, batch, pool } = config;
  const lengths = train.texts.map((texts) => texts.map(({ gpt2 }) => gpt2.length));
  return new DataOrder(
    lengths,
    { seed, batch, pool, captions: config.data.captions === "each" ? "each" : "one" },
    train.images.map(({ group }) => group),
  );
}

function checkExamples(parts: TrainingParts): void {
  const { config, train } = parts;
  if (train.images.length === 0)
    throw new ClipCapError("bad-input", "the data has no picture to train on; check its splits");
  if (config.loss.contrastive > 0 && config.microBatch < 2) {
    throw new ClipCapError("bad-input", "the contrastive loss compares pictures; it needs a batch of at least 2");
  }
  if (orderOf(parts).stepsPerEpoch > 0) return;
  const examples =
    config.data.captions === "each" ? train.texts.reduce((n, t) => n + t.length, 0) : train.images.length;
  throw new ClipCapError(
    "bad-input",
    `the data has ${examples} examples, less than one batch of ${config.batch}; use a smaller batch`,
  );
}

/** A batch of the longest captions, all positions labelled. */
function largestShape(images: number, longest: number, longestText: number, parts: TrainingParts) {
  const row = { gpt2: new Array<number>(longest).fill(1), clip: new Array<number>(longestText).fill(1) };
  const texts = new Array<Text>(images * captionsAtOnce(parts.config)).fill(row);
  const shape = shapeOf(texts, images, longestTexts(parts));
  return { ...shape, labels: shape.batch * shape.tokens };
}

function inGroups<T>(items: readonly T[], size: number): T[][] {
  const groups: T[][] = [];
  for (let i = 0; i < items.length; i += size) groups.push(items.slice(i, i + size));
  return groups;
}
