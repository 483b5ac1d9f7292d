import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { MAX_KEPT, MAX_SHOWN, type Problem } from "../data/captions/problems.js";
import { evaluate } from "../metrics/evaluate.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { type Phase, untraced } from "../runtime/trace.js";
import type { JsonObject } from "../weights/json-fields.js";
import type { TrainConfig } from "./config.js";
import {
  latestCheckpoint,
  loadCheckpoint,
  pruneCheckpoints,
  saveCheckpoint,
  saveState,
  type TrainState,
} from "./node-checkpoint.js";
import type { TrainingData } from "./node-data.js";
import { exportModel, mendExport } from "./node-export.js";
import { networkDigests } from "./node-network-digests.js";
import type { Networks } from "./node-networks.js";
import { type EmbeddedPictures, trainingParts } from "./node-parts.js";
import { pictureDigests } from "./node-picture-digests.js";
import { noteData, noteProblem } from "./node-run-data.js";
import { type RunFolder, StepLines } from "./node-run-folder.js";
import { writeThumbnails } from "./node-samples.js";
import { addUnreadable } from "./pictures.js";
import { changedSettings, settingsOf } from "./settings.js";
import { type DevLosses, Training, type Underway } from "./training.js";

/** What a run says while it goes on. */
export interface TrainEvents {
  /** All is ready, and the first update comes next; before, nothing is lost by ending the process. */
  readonly onBegin?: (begin: { readonly cutCaptions: number }) => void;
  /** After each update: where it stands, and how fast the last ones were. */
  readonly onStep?: (step: number, total: number, speed: { readonly tokens: number; readonly images: number }) => void;
  /** Settings that are not those of the checkpoint, and count from here on: "steps 12, now 20". */
  readonly onChanged?: (changes: readonly string[]) => void;
  /** The run that is gone on with ended before its first checkpoint, and begins again. */
  readonly onAgain?: () => void;
  /** A picture that cannot be read any more; said of the first MAX_SHOWN. */
  readonly onProblem?: (problem: Problem) => void;
  /** A line of metrics.jsonl. */
  readonly onLine?: (line: JsonObject) => void;
}

export interface TrainRun extends TrainEvents {
  readonly run: RunFolder;
  readonly config: TrainConfig;
  /** The configuration as it is kept in the run's folder. */
  readonly json: JsonObject;
  readonly networks: Networks;
  readonly data: TrainingData;
  readonly embeddings?: EmbeddedPictures;
  readonly resume: boolean;
  /** Ends the run after the step that is under way; a checkpoint is written. */
  readonly signal: AbortSignal;
  /** Notes how long the parts of the run take. */
  readonly phase?: Phase;
}

export interface TrainOutcome {
  readonly step: number;
  readonly best: TrainState["best"];
  /** Why it ended before its last step. */
  readonly early: "stopped" | "no progress" | undefined;
  /** Pictures that could not be read any more, and were grey to the network. */
  readonly grey: number;
}

/** Lines of metrics.jsonl in a run; longer runs leave steps out. */
const MAX_LINES = 5000;

/**
 * Trains until the last step, an early stop or the signal, writing metrics, samples, checkpoints and the best model into
 * the run's folder. Resumed from a checkpoint it goes on to the same bits as if it had never ended.
 * @throws ClipCapError `bad-input` when too many updates in a row were skipped; `io` when nothing can be saved.
 */
export async function train(device: Device, o: TrainRun): Promise<TrainOutcome> {
  const { run, config, networks, data } = o;
  let grey = 0;
  const parts = trainingParts(config, networks, data, o.embeddings, (image, error) => {
    const problem = addUnreadable(data.problems, image, error);
    if (grey < MAX_KEPT) noteProblem(run, problem);
    if (grey < MAX_SHOWN) o.onProblem?.(problem);
    grey++;
  });
  const create = () => Training.create(device, { ...parts, signal: o.signal });
  const training = await (o.phase ?? untraced)("load and compile", create);
  const journal = new Journal(o, training);
  try {
    if (!o.resume) await noteData(run, data);
    await journal.start();
    o.onBegin?.({ cutCaptions: parts.cut });
    return { ...(await journal.work()), grey };
  } finally {
    await journal.close();
    training.free();
  }
}

/** A run between its files and its device. */
class Journal {
  private state: TrainState;
  private metrics: StepLines | undefined;
  private samples: StepLines | undefined;
  private readonly checkpoints: string;
  private readonly best: string;
  private readonly lineEvery: number;
  private readonly since = performance.now();
  private readonly phase: Phase;
  private speed = { at: 0, tokens: 0, images: 0 };
  /** Of the samples, once they are written. */
  private pictures: readonly (string | undefined)[] | undefined;
  /** Whose parameters the checkpoint has. */
  private saved: number | undefined;
  /** Updates that were skipped one after the other, up to the last one. */
  private skippedInARow = 0;

  constructor(
    private readonly o: TrainRun,
    private readonly training: Training,
  ) {
    const networks = { clip: "", gpt2: "", mapper: "" };
    this.state = {
      step: 0,
      best: undefined,
      looks: 0,
      lookDue: false,
      data: o.data.digest,
      pictures: [],
      networks,
      settings: settingsOf(o.config),
    };
    this.checkpoints = o.run.file("checkpoints");
    this.best = o.run.file("best");
    this.phase = o.phase ?? untraced;
    this.lineEvery = Math.ceil(training.totalSteps / MAX_LINES);
  }

  async start(): Promise<void> {
    const { run, resume, config } = this.o;
    const networks = await networkDigests(this.o.networks, config.train);
    this.state = { ...this.state, networks, pictures: await pictureDigests(this.o.data) };
    const checkpoint = resume ? await latestCheckpoint(this.checkpoints) : undefined;
    if (checkpoint) await this.load(checkpoint);
    else if (resume) await this.again();
    await run.writeJson("config.json", this.o.json); // what is refused changes nothing
    await run.clean();
    await mkdir(this.checkpoints, { recursive: true });
    if (resume) {
      await mendExport(this.best);
      await pruneCheckpoints(this.checkpoints, [this.state.step]);
    }
    const { step, lookDue } = this.state;
    this.metrics = await StepLines.open(run.file("metrics.jsonl"), step, lookDue);
    this.samples = await StepLines.open(run.file("samples.jsonl"), step, lookDue);
  }

  private async load(checkpoint: string): Promise<void> {
    const { config, onChanged } = this.o;
    const before = await loadCheckpoint(checkpoint, this.training.model.store, config, this.state);
    const { allowed } = changedSettings(before.settings, config);
    if (allowed.length > 0) onChanged?.(allowed);
    const pictures = this.state.pictures.map((digest, i) => before.pictures[i] ?? digest);
    this.state = { ...before, pictures, settings: this.state.settings };
    this.saved = before.step;
  }

  /** @throws ClipCapError `not-found` where the run has come so far that it has lost a checkpoint */
  private async again(): Promise<void> {
    const { run, config, onAgain } = this.o;
    const last = await StepLines.lastStep(run.file("metrics.jsonl"));
    if (last > Math.min(this.lookEvery, config.checkpointEvery || Number.POSITIVE_INFINITY)) {
      throw new ClipCapError(
        "not-found",
        `${run.path} has no checkpoint, though it came to step ${last}; put checkpoints/step-N back, or start a new run in another folder`,
      );
    }
    if (last > 0) onAgain?.();
  }

  /** One update is always under way while the one before is looked at, but at a boundary, where everything waits. */
  async work(): Promise<Omit<TrainOutcome, "grey">> {
    const { training, o } = this;
    let underway: Underway | undefined;
    if (this.state.lookDue) await this.boundary();
    this.speed = { at: performance.now(), tokens: 0, images: 0 };
    for (let step = this.state.step; step < training.totalSteps && !this.early(step); ) {
      const next = await this.phase(`submit step ${step + 1}`, () => training.submit(step++));
      if (underway) await this.done(underway);
      underway = next;
      const ends = step === training.totalSteps || o.signal.aborted;
      if (!ends && !this.isLook(step) && !this.isCheckpoint(step)) continue;
      await this.done(underway);
      underway = undefined;
      this.state = { ...this.state, lookDue: this.isLook(step) || step === training.totalSteps };
      await this.boundary();
      this.speed = { ...this.speed, at: performance.now() };
    }
    return { step: this.state.step, best: this.state.best, early: this.early(this.state.step) };
  }

  /** Between two updates: the look, where one is due, and a checkpoint. */
  private async boundary(): Promise<void> {
    if (this.state.lookDue) await this.phase("validate", () => this.look());
    await this.phase("checkpoint", () => this.checkpoint());
  }

  /** Why to end before the last step and its look, where there is a reason. */
  private early(step: number): TrainOutcome["early"] {
    const { patience } = this.o.config.evaluate;
    if (step === this.training.totalSteps) return this.state.lookDue ? "stopped" : undefined;
    if (patience > 0 && this.state.looks >= patience) return "no progress";
    return this.o.signal.aborted ? "stopped" : undefined;
  }

  private get lookEvery(): number {
    return this.o.config.evaluate.every || this.training.order.stepsPerEpoch;
  }

  private isLook(step: number): boolean {
    return step % this.lookEvery === 0;
  }

  private isCheckpoint(step: number): boolean {
    const every = this.o.config.checkpointEvery;
    return every > 0 && step % every === 0;
  }

  private async done({ pending, step, lr, images, tokens }: Underway): Promise<void> {
    const { o, training } = this;
    const r = await this.phase(`wait for step ${step}`, () => pending.result());
    this.state = { ...this.state, step };
    const seconds = (performance.now() - this.speed.at) / 1000;
    this.speed = { at: performance.now(), tokens: tokens / seconds, images: images / seconds };
    o.onStep?.(step, training.totalSteps, this.speed);
    this.skippedInARow = r.skippedInARow;
    if (r.skippedInARow > o.config.maxSkipped) {
      const from =
        this.saved === undefined ? "start anew" : `resume from step-${this.saved}, the last checkpoint before`;
      throw new ClipCapError(
        "bad-input",
        `${r.skippedInARow} updates in a row had a loss or gradient that is not finite, the last of them step ${step}; ` +
          `lower the learning rate, or set optimizer max_norm, in config.json, and ${from}`,
      );
    }
    if (step % this.lineEvery !== 0 && step !== training.totalSteps) return;
    const { loss } = o.config;
    const contrastive = loss.contrastive > 0 ? { contrastive_loss: (r.total - r.caption) / loss.contrastive } : {};
    await this.line({
      kind: "train",
      step,
      epoch: training.epochOf(step),
      loss: r.total,
      caption_loss: r.caption / loss.caption,
      ...contrastive,
      lr,
      grad_norm: r.gradNorm,
      skipped: r.skipped,
      tokens_per_s: Math.round(this.speed.tokens),
      images_per_s: Math.round(10 * this.speed.images) / 10,
    });
  }

  /**
   * Losses and captions of the validation pictures; the model goes to `best` where it is the best so far. Interrupted, it
   * has written nothing and stays due.
   */
  private async look(): Promise<void> {
    const { state } = this;
    const { step } = state;
    const seen = await this.seen().catch((error: unknown) => {
      if (!(error instanceof ClipCapError && error.code === "aborted")) throw error;
    });
    if (!seen) return;
    const { losses, captions } = seen;
    if (losses) await this.report(step, losses, captions);
    const loss = losses?.total;
    const least = state.best?.loss ?? Number.POSITIVE_INFINITY;
    const better = loss === undefined || (Number.isFinite(loss) && loss < least);
    if (better) {
      await this.exportBest();
      this.state = { ...state, best: { step, loss }, looks: 0, lookDue: false };
    } else this.state = { ...state, looks: state.looks + 1, lookDue: false };
  }

  private async seen(): Promise<{ readonly losses: DevLosses | undefined; readonly captions: readonly string[] }> {
    const { training, o } = this;
    const losses = await training.validate(o.signal);
    const captions = losses ? await training.captionsOf(training.devImages(), o.signal) : [];
    return { losses, captions: captions.map((ids) => this.textOf(ids)) };
  }

  private async report(
    step: number,
    { caption, contrastive, total }: DevLosses,
    captions: readonly string[],
  ): Promise<void> {
    const { training, o } = this;
    const images = training.devImages().map((i) => o.data.dev[i]!);
    const items = images.map(({ captions: references }, i) => ({ candidate: captions[i]!, references }));
    const { isRight } = o.data;
    const right = isRight && images.filter((image, i) => isRight(image, captions[i]!)).length / images.length;
    await this.line({
      kind: "dev",
      step,
      epoch: training.epochOf(step),
      loss: total,
      caption_loss: caption,
      ...(contrastive !== undefined && { contrastive_loss: contrastive }),
      bleu4: evaluate(items).corpus.bleu[3],
      ...(right !== undefined && { right }),
      device_bytes: training.device.memory().used,
    });
    const samples = images.slice(0, o.config.evaluate.samples);
    this.pictures ??= await writeThumbnails(o.run, samples);
    for (const [i, { id, captions: references }] of samples.entries()) {
      const picture = this.pictures[i];
      await this.samples!.append({ step, id, caption: captions[i]!, references, ...(picture && { picture }) });
    }
  }

  private textOf(ids: readonly number[]): string {
    const { tokenizer, config } = this.o.networks.gpt2;
    const words = ids.filter((id) => id !== config.eosId);
    return tokenizer.decode(words, { cleanUp: true }).trim();
  }

  private exportBest(): Promise<void> {
    const { config, networks } = this.o;
    return exportModel(this.best, this.training.model, networks, {
      description: { name: config.name, trained_on: `${config.data.source}, step ${this.state.step}` },
      normalizePrefix: config.normalizePrefix,
      trained: config.train,
      linkUntrained: this.state.best !== undefined,
    });
  }

  /**
   * What is written of the steps before is on the disk first: a checkpoint never stands without its lines. While updates
   * are skipped, the checkpoint before stays: the parameters may be such that every one is from now on.
   */
  private async checkpoint(): Promise<void> {
    if (this.skippedInARow > 0) return;
    await this.metrics!.sync();
    await this.samples!.sync();
    const { store } = this.training.model;
    const { step } = this.state;
    // The same step again is one whose look was interrupted: its parameters are not taken away for a moment.
    if (this.saved === step) await saveState(join(this.checkpoints, `step-${step}`), store, this.state);
    else await saveCheckpoint(this.checkpoints, store, this.state);
    this.saved = step;
    await pruneCheckpoints(this.checkpoints, [step]);
  }

  private async line(line: JsonObject & { step: number }): Promise<void> {
    const whole = { ...line, seconds: Math.round((performance.now() - this.since) / 100) / 10 };
    await this.metrics!.append(whole);
    this.o.onLine?.(whole);
  }

  async close(): Promise<void> {
    await this.metrics?.close();
    await this.samples?.close();
  }
}
