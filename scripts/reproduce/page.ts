import type { Interval } from "../../src/metrics/bootstrap.js";
import { type ExperimentName, VARIANTS } from "./experiment.js";
import type { Evidence, Finding } from "./findings.js";
import { ORIGINAL, SETTINGS } from "./original.js";
import type { Estimate, ExperimentResult, Sample } from "./result.js";
import { titles } from "./result.js";

/** Where pictures lie, seen from the page. */
export const PICTURES = "results";

const TITLES: Readonly<Record<ExperimentName, string>> = {
  scenes: "Drawn scenes",
  flickr8k: "Flickr8k",
  coco: "COCO, full size",
};

const MADE_UP =
  "**A dry run: two steps on few pictures, made up but for the scenes. Made-up results; no number here means anything.**";

/** The whole page; bytes depend on the numbers alone. */
export function page(results: readonly ExperimentResult[]): string {
  const parts = [
    "# Results",
    "Written by `npm run reproduce` from the files of its runs; the sentences about what holds are chosen by code " +
      "(scripts/reproduce/findings.ts) from the numbers beside them.",
    ORIGINAL,
    ...results.flatMap(section),
  ];
  return `${parts.join("\n\n")}\n`;
}

function section(result: ExperimentResult): string[] {
  return [
    `## ${TITLES[result.name]}`,
    ...(result.madeUp ? [MADE_UP] : []),
    SETTINGS[result.name],
    conditions(result),
    `![Losses by epoch](${PICTURES}/loss-${result.name}.svg)`,
    "Training losses are means since the point before, with GPT-2's dropout where it learns; validation is without.",
    runTable(result),
    scoreTable(result),
    ...result.findings.map(statement),
    sampleTable(result, result.confidential ? "captions" : "all"),
  ];
}

function conditions({ adapters, commits, seed, batch, schedule, epochs, pictures }: ExperimentResult): string {
  const { train, dev, test, subset } = pictures;
  return [
    `Budget of each variant: ${round(epochs)} epochs of ${count(train)} pictures, batches of ${batch} captions, AdamW with a`,
    `${schedule.type} schedule up to ${schedule.lr}. Seed ${seed}; all variants see the same batches. Losses of ${count(dev)}`,
    `validation pictures; the model of the lowest is scored on ${count(test)} test pictures, and on ${count(subset)} of them`,
    "drawn by the seed. Captions are greedy, intervals hold 95 % of 1,000 bootstrap resamples.",
    `Adapter: ${adapters.join("; ")}. Commit: ${commits.join(", ")}.`,
  ].join("\n");
}

function runTable({ variants }: ExperimentResult): string {
  const head = ["variant", "trained parameters", "of", "training time", "lowest validation loss", "at epoch"];
  const rows = variants.map(({ variant, parameters, seconds, bestLoss, bestEpoch }) => [
    VARIANTS[variant].title,
    millions(parameters.trained),
    millions(parameters.total),
    duration(seconds),
    bestLoss.toFixed(3),
    `${round(bestEpoch)}`,
  ]);
  return table(head, rows);
}

function scoreTable({ variants, pictures }: ExperimentResult): string {
  const { test, subset } = pictures;
  const hasRight = variants.every(({ right }) => right !== undefined);
  const both = (metric: string) => [test, subset].map((n) => `${metric}, ${count(n)} pictures`);
  const head = ["variant", ...both("BLEU-4"), ...both("CIDEr-D"), "different captions", ...(hasRight ? ["right"] : [])];
  const rows = variants.map(({ variant, all, subset, different, right }) => [
    VARIANTS[variant].title,
    ...[all.bleu4, subset.bleu4, all.ciderD, subset.ciderD].map(estimate),
    count(different),
    ...(right ? [estimate(right)] : []),
  ]);
  const about =
    'Share of captions that are "right": both objects, their colours, their relation, and whatever else is said.';
  return `${table(head, rows)}${hasRight ? `\n\n${about}` : ""}`;
}

function statement({ claim, verdict, evidence }: Finding): string {
  return [`**${claim}: ${verdict}.**`, "", ...evidence.map(evidenceLine)].join("\n");
}

const SIDES = { for: "for it", against: "against it", neither: "no difference beyond chance" } as const;

function evidenceLine({ what, transformer, mlp, difference, side }: Evidence): string {
  const test = difference
    ? `; MLP minus transformer ${fixed(difference.difference)} ${interval(difference.ci95)}, paired bootstrap p = ${difference.p.toFixed(3)}`
    : "";
  return `- ${what}: ${mlp.toFixed(3)} MLP, fine-tuned; ${transformer.toFixed(3)} transformer, frozen${test}: ${SIDES[side]}.`;
}

/** @param shows "captions": nothing of the data but names */
export function sampleTable(result: ExperimentResult, shows: "captions" | "all"): string {
  const all = shows === "all";
  const pictured = result.name === "scenes";
  const head = ["", ...(all ? ["ground truth"] : []), ...titles(result)];
  const name = ({ id }: Sample, i: number) => (pictured ? `![${cell(id)}](${PICTURES}/scene-${i + 1}.png)` : cell(id));
  const rows = result.samples.map((sample, i) => [
    name(sample, i),
    ...(all ? [sample.references.map(cell).join("<br>")] : []),
    ...sample.captions.map(cell),
  ]);
  const about = all
    ? `${result.samples.length} test pictures, chosen by the seed:`
    : `${result.samples.length} test pictures, chosen by the seed. The data's terms forbid passing on photos and captions; with ` +
      "ground truth the table is in the folder of the runs.";
  return `${about}\n\n${table(head, rows)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** A text of unknown origin in a cell of a Markdown table. */
function cell(text: string): string {
  return text.replace(/[\\`*_{}[\]<>|#!~]/g, "\\$&").replace(/\s+/g, " ");
}

function estimate({ value, ci95 }: Estimate): string {
  return `${value.toFixed(3)} ${interval(ci95)}`;
}

function interval([low, high]: Interval): string {
  return `[${fixed(low)}, ${fixed(high)}]`;
}

/** With a minus as wide as a digit, and none before 0.000. */
function fixed(value: number): string {
  const size = Math.abs(value).toFixed(3);
  return value < 0 && Number(size) > 0 ? `−${size}` : size;
}

function millions(n: number): string {
  return `${(n / 1e6).toFixed(2)} M`;
}

function count(n: number): string {
  return n.toLocaleString("en-US");
}

function round(n: number): number {
  return Number(n.toFixed(2));
}

/** Whole minutes: what a run takes differs by seconds each time. */
function duration(seconds: number): string {
  return seconds < 60 ? "below 1 min" : `${Math.round(seconds / 60)} min`;
}
