import { capLogitScale } from "../kernels/contrastive/contrastive.js";
import { Arenas } from "../runtime/arenas.js";
import type { Device } from "../runtime/device.js";
import { flopsOf, Program } from "../runtime/program.js";
import type { Reading } from "../runtime/reading.js";
import { rowsOfTensor, type Tensor } from "../runtime/tensor.js";
import type { HostBatch } from "./batch.js";
import type { TrainingModel } from "./model.js";
import {
  type Batch,
  type BatchShape,
  type Losses,
  type ObjectiveOptions,
  objective,
  recordBatch,
} from "./objective.js";
import { type AdamWOptions, recordAdamW } from "./optimizer.js";

export interface TrainerOptions extends Omit<ObjectiveOptions, "dropout"> {
  /** Shape of one row of the input: [3, S, S] or [E]. */
  readonly inputShape: readonly number[];
  /** The largest batch; what is allocated for it serves all others. */
  readonly largest: BatchShape;
  readonly optimizer: Omit<AdamWOptions, "loss" | "label">;
  /** Rate of GPT-2's dropout while it learns; 0: none. */
  readonly dropout: number;
}

/** What one update was made of. */
export interface StepResult {
  /** Losses as they were weighted, over all micro-batches. */
  readonly total: number;
  readonly caption: number;
  /** Norm of the gradients before clipping; infinity where the update was skipped. */
  readonly gradNorm: number;
  /** Updates skipped so far because of NaN or infinity, in all and in a row. */
  readonly skipped: number;
  readonly skippedInARow: number;
}

interface Recorded {
  readonly program: Program;
  readonly batch: Batch;
}

/**
 * The programs of a training run: one with the gradients for each shape of a batch, one without for validation, and one
 * that updates the parameters. They never run at the same time, so their values share memory.
 */
export class Trainer {
  readonly input: Tensor;
  private readonly one: Tensor;
  private readonly sums: Losses;
  private readonly arenas: Arenas;
  private readonly recorded = new Map<string, Recorded>();
  private update: { readonly program: Program; readonly norm: Tensor } | undefined;

  private constructor(
    readonly device: Device,
    readonly model: TrainingModel,
    private readonly options: TrainerOptions,
    /** Owns the tensors that all programs share. */
    private readonly shared: Program,
  ) {
    this.input = shared.persistent("input", [options.largest.images, ...options.inputShape]);
    this.one = shared.persistent("one", [1]);
    this.sums = { total: shared.persistent("loss.total", [1]), caption: shared.persistent("loss.caption", [1]) };
    this.arenas = new Arenas(device, "activations");
    device.write(this.one, Float32Array.of(1));
  }

  /** Records and compiles the largest step. @throws ClipCapError `out-of-memory`; then nothing stays allocated. */
  static async create(device: Device, model: TrainingModel, options: TrainerOptions): Promise<Trainer> {
    const shared = new Program(device, "batch", { gradients: false });
    let trainer: Trainer | undefined;
    try {
      trainer = new Trainer(device, model, options, shared);
      await trainer.prepare(options.largest, "train");
      await trainer.recordUpdate();
      return trainer;
    } catch (error) {
      trainer?.free();
      shared.destroy();
      throw error;
    }
  }

  /**
   * Submits one update from the micro-batches of a step; waits only where a shape is new. `t` counts updates from 1;
   * `seeds` are those of dropout, one for each micro-batch.
   */
  async step(
    batches: readonly HostBatch[],
    { lr, t, seeds }: { readonly lr: number; readonly t: number; readonly seeds: readonly number[] },
  ): Promise<PendingStep> {
    for (const [i, host] of batches.entries()) {
      const { program, batch } = await this.programFor(host.shape, "train");
      this.write(batch, host);
      program.run({ accumulate: i === 0 ? 0 : 1, ...(this.options.dropout > 0 && { seed: seeds[i]! }) });
    }
    const { program, norm } = this.update!;
    return new PendingStep(program.run({ lr, t }, [norm, this.sums.total, this.sums.caption, this.model.store.skips]));
  }

  /** Records and compiles what a batch of the given shape runs, so that its turn creates nothing. */
  async prepare(shape: BatchShape, kind: "train" | "evaluate"): Promise<void> {
    await this.programFor(shape, kind);
  }

  /** The losses of the given batches, added up with their weights; parameters stay as they are. */
  async evaluate(batches: AsyncIterable<HostBatch>): Promise<{ readonly total: number; readonly caption: number }> {
    const [total, caption] = [this.sums.total, this.sums.caption];
    let first = true;
    let last: Reading | undefined;
    for await (const host of batches) {
      const { program, batch } = await this.programFor(host.shape, "evaluate");
      this.write(batch, host);
      const pending = program.run({ accumulate: first ? 0 : 1 }, [total, caption]);
      await last?.get(); // one batch in flight
      last = pending;
      first = false;
    }
    const [a, b] = last ? ((await last.get()) as Float32Array[]) : [[Number.NaN], [Number.NaN]];
    return { total: a![0]!, caption: b![0]! };
  }

  /** Arithmetic of the largest step, without the update. */
  get flops(): number {
    const { program } = this.recorded.get(keyOf(this.options.largest, "train"))!;
    return program.dispatches.reduce((sum, d) => sum + flopsOf(d), 0);
  }

  free(): void {
    for (const { program } of this.recorded.values()) program.destroy();
    this.update?.program.destroy();
    this.arenas.free();
    this.shared.destroy();
  }

  private async programFor(shape: BatchShape, kind: "train" | "evaluate"): Promise<Recorded> {
    const key = keyOf(shape, kind);
    const known = this.recorded.get(key);
    if (known) return known;
    const gradients = kind === "train";
    const program = new Program(this.device, kind, { gradients });
    try {
      const batch = recordBatch(program, shape);
      const input = rowsOfTensor(this.input, 0, shape.images);
      const rate = gradients ? this.options.dropout : 0;
      const dropout = rate > 0 ? { rate, seed: program.scalar("seed") } : undefined;
      const total = objective(program, this.model, input, batch, this.sums, { ...this.options, dropout });
      if (gradients) program.backward(total, this.one);
      await program.compile({ arenas: this.arenas });
      const made = { program, batch };
      this.recorded.set(key, made);
      return made;
    } catch (error) {
      program.destroy();
      throw error;
    }
  }

  private async recordUpdate(): Promise<void> {
    const program = new Program(this.device, "update");
    const { store } = this.model;
    const norm = recordAdamW(program, store, { ...this.options.optimizer, loss: this.sums.total, label: "adamw" });
    const logitScale = this.model.clip?.texts?.logitScale;
    if (logitScale?.requiresGrad) capLogitScale(program, logitScale, { label: "logit_scale" });
    this.update = { program: await program.compile({ arenas: this.arenas }), norm };
  }

  private write({ captions, texts }: Batch, host: HostBatch): void {
    const { device } = this;
    device.write(this.input, host.input);
    device.write(captions.ids, host.ids);
    device.write(captions.rows, host.rows);
    device.write(captions.targets, host.targets);
    device.write(captions.weights, host.weights);
    if (!texts) return;
    device.write(texts.ids, host.texts);
    device.write(texts.last, host.ends);
  }
}

/** Names a recorded program. */
function keyOf(shape: BatchShape, kind: "train" | "evaluate"): string {
  return `${kind} ${Object.values(shape)}`;
}

/** A step that the GPU is working on. */
export class PendingStep {
  constructor(private readonly reading: Reading) {}

  async result(): Promise<StepResult> {
    const [norm, total, caption, skips] = (await this.reading.get()) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Uint32Array,
    ];
    return {
      total: total[0]!,
      caption: caption[0]!,
      gradNorm: norm[0]!,
      skipped: skips[0]!,
      skippedInARow: skips[1]!,
    };
  }
}
