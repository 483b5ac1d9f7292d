// From the files of an experiment's runs to the numbers that the page is made of.

import { commit } from "../../src/bench/node-head.js";
import { random } from "../../src/data/random.js";
import { checkCaption } from "../../src/data/scenes/captions.js";
import type { SceneImage } from "../../src/data/scenes/dataset.js";
import { compareSystems, type System, scoreSystem, testSet } from "../../src/eval/scoring.js";
import { bootstrapMean, compareMeans, type Interval } from "../../src/metrics/bootstrap.js";
import { type Curves, type Metrics, parseMetrics } from "../../src/train/report/run.js";
import type { Material } from "./data.js";
import { type Experiment, type ExperimentName, VARIANTS, type VariantName } from "./experiment.js";
import { type Finding, findings, type Measured, type Pair } from "./findings.js";
import { MAKING, type Trial } from "./trial.js";

export interface Estimate {
  readonly value: number;
  readonly ci95: Interval;
}

export interface Scores {
  readonly bleu4: Estimate;
  readonly ciderD: Estimate;
}

export interface Point {
  readonly epoch: number;
  readonly loss: number;
}

export interface VariantResult {
  readonly variant: VariantName;
  readonly parameters: Trial["record"]["parameters"];
  readonly seconds: number;
  /** Of the model that was scored, the one of the lowest validation loss. */
  readonly bestEpoch: number;
  readonly bestLoss: number;
  /** At each look at the validation pictures; a training loss is the mean since the look before. */
  readonly training: readonly Point[];
  readonly validation: readonly Point[];
  readonly all: Scores;
  readonly subset: Scores;
  /** Different captions of the test pictures. */
  readonly different: number;
  /** Share of the test pictures whose caption is wholly right, where that can be told. */
  readonly right: Estimate | undefined;
}

export interface Sample {
  readonly id: string;
  readonly references: readonly string[];
  /** By variant. */
  readonly captions: readonly string[];
}

export interface ExperimentResult {
  readonly name: ExperimentName;
  readonly madeUp: boolean;
  readonly confidential: boolean;
  readonly adapters: readonly string[];
  /** Of training, and of captioning and scoring. */
  readonly commits: readonly string[];
  readonly seed: number;
  /** Captions in an update. */
  readonly batch: number;
  readonly schedule: { readonly type: string; readonly lr: number };
  readonly epochs: number;
  readonly pictures: { readonly train: number; readonly dev: number; readonly test: number; readonly subset: number };
  readonly variants: readonly VariantResult[];
  readonly findings: readonly Finding[];
  readonly samples: readonly Sample[];
}

/** Pictures that the original scored. */
const SUBSET = 193;
const SAMPLES = 10;

export function resultOf(experiment: Experiment, material: Material, trials: readonly Trial[]): ExperimentResult {
  const { config } = experiment.arms[0]!;
  const { test } = material;
  const pick = (stream: string, count: number) =>
    [...random(config.seed, stream).permutation(test.length)].slice(0, count);
  const subset = pick("subset", SUBSET);
  const tables = trials.map(({ metrics }) => parseMetrics(metrics));
  const whole = scoreAll(
    trials,
    test,
    test.map((_, i) => i),
  );
  const part = scoreAll(trials, test, subset);
  const union = (of: (trial: Trial) => readonly string[]) => [...new Set(trials.flatMap(of))].sort();
  return {
    name: experiment.name,
    madeUp: experiment.madeUp,
    confidential: experiment.confidential,
    adapters: union(({ record }) => record.adapters),
    commits: [...new Set([...union(({ record }) => record.commits), commit(MAKING)])],
    seed: config.seed,
    batch: config.batch,
    schedule: { type: config.schedule.shape.type, lr: config.schedule.peak },
    epochs: Math.max(...tables.map(({ train }) => train.at(-1)!.epoch!)),
    pictures: {
      train: material.training.train.length,
      dev: Math.min(config.evaluate.images, material.training.dev.length),
      test: test.length,
      subset: subset.length,
    },
    variants: trials.map((trial, i) => ({
      ...course(trial, tables[i]!),
      all: scoresOf(whole[i]!),
      subset: scoresOf(part[i]!),
      different: new Set(trial.captions).size,
      right: rightShare(trial, test),
    })),
    findings: findings(measure(trials, tables, whole)),
    samples: pick("samples", SAMPLES).map((i) => ({
      id: test[i]!.id,
      references: test[i]!.captions,
      captions: trials.map(({ captions }) => captions[i]!),
    })),
  };
}

function scoreAll(trials: readonly Trial[], test: Material["test"], chosen: readonly number[]): System[] {
  const set = testSet(
    chosen.map((i) => test[i]!),
    undefined,
    undefined,
  );
  return trials.map(({ arm, captions }) =>
    scoreSystem(
      arm.variant,
      chosen.map((i) => captions[i]!),
      set,
      undefined,
    ),
  );
}

function metric(system: System, name: string) {
  const index = system.metrics.findIndex((one) => one.name === name);
  return { index, ...system.metrics[index]! };
}

function scoresOf(system: System): Scores {
  const estimate = (name: string): Estimate => {
    const { value, ci95 } = metric(system, name);
    return { value, ci95 };
  };
  return { bleu4: estimate("BLEU-4"), ciderD: estimate("CIDEr-D") };
}

function rightShare({ captions }: Trial, test: Material["test"]): Estimate | undefined {
  if (!("scene" in test[0]!)) return undefined;
  const right = (test as readonly SceneImage[]).map(({ scene }, i) =>
    checkCaption(captions[i]!, scene).right ? 1 : 0,
  );
  return { value: mean(right), ci95: bootstrapMean(right) };
}

function course({ arm, record }: Trial, { train, dev }: Curves) {
  const best = dev.reduce((least, one) => (one.caption_loss! < least.caption_loss! ? one : least));
  return {
    variant: arm.variant,
    parameters: record.parameters,
    seconds: Math.max(...[...train, ...dev].map(({ seconds }) => seconds!)),
    bestEpoch: best.epoch!,
    bestLoss: best.caption_loss!,
    training: dev.map(({ step, epoch }, i) => {
      const since = dev[i - 1]?.step ?? 0;
      return { epoch: epoch!, loss: mean(lossesOf(train, (one) => one.step > since && one.step <= step)) };
    }),
    validation: dev.map(({ epoch, caption_loss }) => ({ epoch: epoch!, loss: caption_loss! })),
  };
}

function lossesOf(records: readonly Metrics[], keeps: (record: Metrics) => boolean): number[] {
  return records.filter(keeps).map(({ caption_loss }) => caption_loss!);
}

/** What the original's findings speak of: its transformer with frozen GPT-2 and its MLP with a fine-tuned one. */
function measure(trials: readonly Trial[], curves: readonly Curves[], systems: readonly System[]): Measured {
  const at = (variant: VariantName) => trials.findIndex(({ arm }) => arm.variant === variant);
  const [t, m] = [at("transformer-frozen"), at("mlp-tuned")];
  const [transformer, mlp] = [curves[t]!, curves[m]!];
  const ended = Math.min(transformer.train.at(-1)!.epoch!, mlp.train.at(-1)!.epoch!);
  const { metrics } = compareSystems(systems[t]!, systems[m]!);
  const score = (name: string) => {
    const [first, second] = [metric(systems[t]!, name), metric(systems[m]!, name)];
    return { transformer: first.value, mlp: second.value, difference: metrics[first.index]! };
  };
  return {
    firstTraining: meanLosses(transformer.train, mlp.train, 0, 1),
    firstValidation: firstLooks(transformer, mlp),
    lastTraining: meanLosses(transformer.train, mlp.train, ended - 1, ended),
    bestValidation: { transformer: lowest(transformer), mlp: lowest(mlp) },
    bleu4: score("BLEU-4"),
    ciderD: score("CIDEr-D"),
  };
}

/** Mean training losses between two epochs. Both variants saw the same batches, which makes pairs of them. */
function meanLosses(transformer: readonly Metrics[], mlp: readonly Metrics[], from: number, to: number) {
  const between = ({ epoch }: Metrics) => epoch! > from && epoch! <= to;
  const [first, second] = [lossesOf(transformer, between), lossesOf(mlp, between)];
  return { transformer: mean(first), mlp: mean(second), difference: compareMeans(first, second) };
}

/** Validation losses at the last look of the first epoch; none where the first look came later. */
function firstLooks(transformer: Curves, mlp: Curves): Pair | undefined {
  const [first, second] = [transformer, mlp].map(({ dev }) => dev.filter(({ epoch }) => epoch! <= 1).at(-1));
  return first && second && { transformer: first.caption_loss!, mlp: second.caption_loss! };
}

function lowest({ dev }: Curves): number {
  return Math.min(...dev.map(({ caption_loss }) => caption_loss!));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Names for people, in the order of the variants. */
export function titles({ variants }: ExperimentResult): string[] {
  return variants.map(({ variant }) => VARIANTS[variant].title);
}
