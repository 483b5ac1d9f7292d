import type { Curves, Metrics, PictureSamples } from "./run.js";

/** All that a run's folder says. */
export interface Run extends Curves {
  /** The folder's name, or its path where two runs have one name. */
  readonly name: string;
  readonly folder: string;
  readonly config: unknown;
  readonly pictures: readonly PictureSamples[];
  /** Data URIs by the pictures' ids. */
  readonly thumbnails: ReadonlyMap<string, string>;
}

/** A run in a few numbers; what was not recorded is left out. */
export interface RunSummary {
  readonly name: string;
  readonly folder: string;
  readonly steps: number;
  readonly epochs?: number;
  readonly seconds?: number;
  /** Of the last record. */
  readonly loss?: number;
  readonly bestDevLoss?: number;
  /** Step of the best development loss. */
  readonly bestStep?: number;
  /** Lines of metrics.jsonl that are no complete record. */
  readonly brokenLines: number;
}

export function summarise({ name, folder, train, dev, brokenLines }: Run): RunSummary {
  const records = [...train, ...dev];
  const best = bestDev(dev);
  return {
    name,
    folder,
    steps: largest(records, "step") ?? 0,
    epochs: largest(records, "epoch"),
    seconds: largest(records, "seconds"),
    loss: train.at(-1)?.loss,
    bestDevLoss: best?.loss,
    bestStep: best?.step,
    brokenLines,
  };
}

/** The record of the lowest development loss, the first where several have it. */
function bestDev(dev: readonly Metrics[]): Metrics | undefined {
  const measured = dev.filter(({ loss }) => loss !== undefined);
  return measured.reduce<Metrics | undefined>((best, one) => (best && best.loss! <= one.loss! ? best : one), undefined);
}

function largest(records: readonly Metrics[], field: string): number | undefined {
  return records.reduce<number | undefined>((most, record) => {
    const value = record[field];
    return value === undefined || (most !== undefined && most >= value) ? most : value;
  }, undefined);
}
