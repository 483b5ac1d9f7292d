import type { Command } from "commander";
import {
  bootstrap,
  comparePaired,
  DEFAULT_RESAMPLES,
  type Difference,
  type Interval,
  MAX_RESAMPLES,
} from "../metrics/bootstrap.js";
import {
  MAX_CAPTION_LENGTH,
  matchIds,
  pairCaptions,
  parseCandidates,
  parseReferences,
  show,
} from "../metrics/captions.js";
import { diversity, lengths } from "../metrics/diversity.js";
import { type Evaluation, evaluate, tokenizeItems } from "../metrics/evaluate.js";
import type { CaptionItem } from "../metrics/item.js";
import { listMetrics, METRIC_NAMES, type PerMetric } from "../metrics/per-metric.js";
import { ClipCapError } from "../runtime/errors.js";
import { MAX_CAPTIONS_BYTES, readCaptionsFile } from "./captions-file.js";
import { collect, numeric } from "./options.js";
import { Screen } from "./screen.js";
import { fixed, range, signed, table } from "./table.js";

interface Options {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly ptb: boolean;
  readonly bootstrap: number;
  readonly seed: number;
  readonly compare?: readonly string[];
}

const HELP = `
REFERENCES  COCO captions ({"annotations": [{"image_id", "caption"}]}), JSON lines with "id", "image_id" or "file" and
            "caption" or "captions", or {"id": ["…"]}
CANDIDATES  COCO results ([{"image_id", "caption"}]), {"id": "…"}, or the output of clipcap caption --json
Ids are compared as text: 42 is "42". Where one object has a key twice, such as {"1": ["a"], "1": ["b"]}, the last holds.
A candidate "photos/x.jpg" without references takes those of "x.jpg", unless another candidate is called x.jpg as well.

Scores are those of coco-caption: texts become Treebank tokens (lower case, without punctuation; brackets stay as
"-lrb-"), BLEU takes the closest reference length, CIDEr-D counts document frequencies over the references of the
images that are scored. So a score on a part of a test set, CIDEr-D above all, does not compare with one on the whole.

Scored are the images of CANDIDATES, each with one caption; references of other images are counted and left out. A
candidate without references and an image with two captions are errors. An empty caption is scored and earns nothing; text
in other scripts is scored, where each run of letters is one word. A caption has at most ${MAX_CAPTION_LENGTH} characters, a file
${MAX_CAPTIONS_BYTES / 1e6} MB.

Intervals come from drawing images with replacement (bootstrap, percentiles 2.5 and 97.5). --compare draws the same images
for both systems; p is two-sided. The draws take the images sorted by id, so the order of a file makes no difference. CIDEr-D
keeps the document frequencies of the full set in every draw.

Examples:
  clipcap metrics captions_val2014.json results.json
  clipcap metrics references.json results.json --json
  clipcap metrics references.json before.json --compare after.json`;

export function addMetrics(program: Command): void {
  program
    .command("metrics")
    .summary("BLEU, ROUGE-L and CIDEr-D of captions")
    .description("Scores captions against those that people wrote, as coco-caption does; needs neither GPU nor Java.")
    .argument("<references>", "file of captions by people")
    .argument("<candidates>", "file of captions by a system")
    .option("--no-ptb", "the texts are tokens already, joined by single spaces")
    .option("--bootstrap <n>", "resamples for the intervals; 0 for none", numeric("--bootstrap"), DEFAULT_RESAMPLES)
    .option("--seed <n>", "of the resamples", numeric("--seed"), 0)
    .option("--compare <file>", "captions by another system for the same images; may be given several times", collect)
    .optionsGroup("Output:")
    .option("--json", 'one object: {"bleu":[1 to 4],"rouge_l","cider_d","n","ci95"}, and "compare" with --compare')
    .option("--quiet", "no progress and notes on stderr; errors are still reported")
    .addHelpText("after", HELP)
    .action(metrics);
}

/** One system's captions and what they scored. */
interface System {
  readonly file: string;
  readonly captions: readonly string[];
  readonly evaluation: Evaluation;
  readonly intervals: PerMetric<Interval> | undefined;
}

/** Another system beside the first. */
interface Rival extends System {
  readonly comparison: PerMetric<Difference> | undefined;
}

async function metrics(referencesFile: string, candidatesFile: string, options: Options): Promise<void> {
  checkOptions(options);
  const screen = new Screen(options);
  try {
    screen.progress("reading captions");
    const references = parseReferences(referencesFile, await readCaptionsFile(referencesFile));
    const readCandidates = async (file: string) => {
      return matchIds(parseCandidates(file, await readCaptionsFile(file)), references);
    };
    const candidates = await readCandidates(candidatesFile);
    const names = { references: referencesFile, candidates: candidatesFile };
    const score = (file: string, items: readonly CaptionItem[]) => scoreSystem(file, items, options, screen);
    const system = score(candidatesFile, pairCaptions(references, candidates, names));
    const rivals: Rival[] = [];
    for (const file of options.compare ?? []) {
      const others = sameImages(candidates, await readCandidates(file), candidatesFile, file);
      const rival = score(file, pairCaptions(references, others, { ...names, candidates: file }));
      rivals.push({ ...rival, comparison: compare(system, rival, options) });
    }
    screen.idle();
    const unused = references.size - candidates.size;
    if (unused > 0) screen.note(`images without a candidate: ${unused}; their references are not used`);
    if (options.json) screen.print(JSON.stringify(toJson(system, rivals)));
    else for (const line of report(system, rivals)) screen.print(line);
  } finally {
    screen.idle();
  }
}

function checkOptions({ bootstrap: resamples, seed }: Options): void {
  if (!Number.isInteger(resamples) || resamples < 0 || resamples > MAX_RESAMPLES) {
    const range = `a whole number from 0 (no intervals) to ${MAX_RESAMPLES}`;
    throw new ClipCapError("bad-usage", `--bootstrap is ${resamples}; it must be ${range}`);
  }
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new ClipCapError("bad-usage", `--seed is ${seed}; it must be a whole number from 0 to ${2 ** 32 - 1}`);
  }
}

function scoreSystem(file: string, items: readonly CaptionItem[], options: Options, screen: Screen): System {
  screen.progress(`scoring ${file}`);
  const tokens = options.ptb ? tokenizeItems(items) : items;
  const evaluation = evaluate(tokens, { tokenized: true });
  const { bootstrap: resamples, seed } = options;
  const intervals = resamples > 0 ? bootstrap(evaluation, { resamples, seed }) : undefined;
  return { file, captions: tokens.map(({ candidate }) => candidate), evaluation, intervals };
}

/** The other system's captions in the order of the first's. */
function sameImages(
  first: ReadonlyMap<string, string>,
  second: ReadonlyMap<string, string>,
  firstFile: string,
  secondFile: string,
): ReadonlyMap<string, string> {
  const missing = [...first.keys()].find((id) => !second.has(id)) ?? [...second.keys()].find((id) => !first.has(id));
  if (missing !== undefined) {
    const [has, lacks] = first.has(missing) ? [firstFile, secondFile] : [secondFile, firstFile];
    const what = `${lacks} has no caption for image ${show(missing)} of ${has}; compare systems on the same images`;
    throw new ClipCapError("bad-input", what);
  }
  return new Map(Array.from(first.keys(), (id) => [id, second.get(id)!]));
}

function compare(
  first: System,
  second: System,
  { bootstrap: resamples, seed }: Options,
): PerMetric<Difference> | undefined {
  return resamples > 0 ? comparePaired(first.evaluation, second.evaluation, { resamples, seed }) : undefined;
}

function toJson(system: System, rivals: readonly Rival[]): object {
  const scores = ({ evaluation, intervals }: System) => ({
    ...byName(evaluation.corpus),
    n: evaluation.perImage.length,
    ci95: intervals ? byName(intervals) : {},
  });
  if (rivals.length === 0) return scores(system);
  const compared = rivals.map((rival) => ({
    file: rival.file,
    ...scores(rival),
    difference: rival.comparison ? byName(rival.comparison) : {},
  }));
  return { ...scores(system), compare: compared };
}

function byName<T>({ bleu, rougeL, ciderD }: PerMetric<T>) {
  return { bleu, rouge_l: rougeL, cider_d: ciderD };
}

function report(system: System, rivals: readonly Rival[]): string[] {
  const lines = scoreTable(system);
  for (const rival of rivals) {
    lines.push("", ...scoreTable(rival));
    if (rival.comparison) lines.push("", ...differenceTable(system, rival, rival.comparison));
  }
  return lines;
}

function scoreTable({ file, captions, evaluation, intervals }: System): string[] {
  const scores = listMetrics(evaluation.corpus);
  const ends = intervals && listMetrics(intervals);
  const rows = METRIC_NAMES.map((name, i) => [name, fixed(scores[i]!), ...(ends ? [range(ends[i]!)] : [])]);
  const { vocabulary, distinctCaptions } = diversity(captions);
  const { mean, shortest, longest } = lengths(captions);
  const different = Math.round(distinctCaptions * captions.length);
  return [
    `${file}: ${captions.length} images`,
    ...table(["", "score", ...(ends ? ["95 % interval"] : [])], rows),
    `${mean.toFixed(1)} words a caption (${shortest} to ${longest}), ${vocabulary} different words, ${different} different captions`,
  ];
}

function differenceTable(first: System, second: System, comparison: PerMetric<Difference>): string[] {
  const rows = listMetrics(comparison).map(({ difference, ci95, p }, i) => {
    return [METRIC_NAMES[i]!, signed(difference), range(ci95, signed), p.toPrecision(2)];
  });
  return [`${second.file} minus ${first.file}`, ...table(["", "difference", "95 % interval", "p"], rows)];
}
