import { AXES, type Curves, type Metrics } from "./run.js";

/** One chart of the page: a measurement against the training's progress. */
export interface Chart {
  /** Field of the records. */
  readonly field: string;
  readonly title: string;
  /** A noisy measurement, drawn faint with a smoothed line over it. */
  readonly noisy: boolean;
  /** Spans orders of magnitude, so that a logarithmic axis may serve it. */
  readonly logarithmic: boolean;
}

/** Columns of numbers by field; null where a record lacks it. All have the same length. */
export type Columns = Readonly<Record<string, readonly (number | null)[]>>;

/** Most points of all runs' curves of one chart: some 6 characters each in every chart of the page. */
const MAX_POINTS = 1600;
/** No screen shows more along one curve. */
const MAX_POINTS_OF_RUN = 800;

/** What a model is judged by: the first charts of the page. */
const QUALITY: readonly Chart[] = [
  { field: "loss", title: "Loss", noisy: true, logarithmic: true },
  { field: "caption_loss", title: "Captioning loss", noisy: true, logarithmic: true },
  { field: "contrastive_loss", title: "Contrastive loss", noisy: true, logarithmic: true },
  { field: "bleu4", title: "BLEU-4", noisy: false, logarithmic: false },
  { field: "right", title: "Scenes described rightly", noisy: false, logarithmic: false },
];
/** How the training goes: the last charts. Any other field comes between, named as it is. */
const COURSE: readonly Chart[] = [
  { field: "lr", title: "Learning rate", noisy: false, logarithmic: false },
  { field: "grad_norm", title: "Gradient norm", noisy: true, logarithmic: true },
  { field: "tokens_per_s", title: "Tokens per second", noisy: true, logarithmic: false },
  { field: "images_per_s", title: "Images per second", noisy: true, logarithmic: false },
  { field: "skipped", title: "Skipped steps", noisy: false, logarithmic: false },
];

/** A chart for every field that some run measured. "skipped" is shown only where a step was. */
export function chartsOf(runs: readonly Curves[]): Chart[] {
  const records = runs.flatMap(({ train, dev }) => [...train, ...dev]);
  const fields = new Set(records.flatMap(Object.keys).filter((field) => !AXES.includes(field)));
  if (!records.some((record) => record.skipped! > 0)) fields.delete("skipped");
  const [quality, course] = [QUALITY, COURSE].map((charts) => charts.filter(({ field }) => fields.delete(field)));
  const others = [...fields].sort().map((field) => ({
    field,
    title: field.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase()),
    noisy: true,
    logarithmic: false,
  }));
  return [...quality!, ...others, ...course!];
}

/** How many points a curve may have in a page about `runs` runs. */
export function pointsOf(runs: number): number {
  return Math.min(MAX_POINTS_OF_RUN, Math.floor(MAX_POINTS / runs));
}

/** Records as columns of at most `most` rows: a row is then the mean of several records, at the place of the last. */
export function columnsOf(records: readonly Metrics[], most: number): Columns {
  const size = Math.ceil(records.length / most) || 1;
  const groups = Array.from({ length: Math.ceil(records.length / size) }, (_, i) =>
    records.slice(i * size, (i + 1) * size),
  );
  const fields = new Set(records.flatMap(Object.keys));
  return Object.fromEntries(
    [...fields].map((field) => [field, groups.map((group) => (AXES.includes(field) ? last : mean)(group, field))]),
  );
}

function last(group: readonly Metrics[], field: string): number | null {
  const value = group.at(-1)?.[field];
  return value === undefined ? null : Number(value.toPrecision(7));
}

function mean(group: readonly Metrics[], field: string): number | null {
  const values = group.map((record) => record[field]).filter((value) => value !== undefined);
  if (values.length === 0) return null;
  return Number((values.reduce((sum, value) => sum + value, 0) / values.length).toPrecision(4));
}
