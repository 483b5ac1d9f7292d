/** What an evaluation says about systems: the same metrics for each, and how they differ. */
import {
  bootstrap,
  bootstrapMean,
  compareMeans,
  comparePaired,
  type Difference,
  type Interval,
  mean,
} from "../metrics/bootstrap.js";
import { clipScore, refClipScore } from "../metrics/clip-score.js";
import { type Lengths, lengths } from "../metrics/diversity.js";
import { type Evaluation, evaluate } from "../metrics/evaluate.js";
import { listMetrics, METRIC_NAMES } from "../metrics/per-metric.js";
import { ptbTokenize } from "../metrics/ptb.js";
import {
  compareVariety,
  type DescribedVariety,
  describeVariety,
  type Variety,
  variety,
  varietyIntervals,
} from "../metrics/variety.js";

/** The images that systems are scored on, and what people said of them. */
export interface TestSet {
  readonly ids: readonly string[];
  /** As written. */
  readonly references: readonly (readonly string[])[];
  /** Treebank tokens of the references. */
  readonly tokens: readonly (readonly string[])[];
  /** Treebank tokens of the captions of the data's training split; undefined where there is none. */
  readonly training: readonly string[] | undefined;
  /** CLIP's vectors, of references behind `CLIP_SCORE_PROMPT`; undefined where the model has no text tower. */
  readonly clip:
    | { readonly images: readonly Float32Array[]; readonly references: readonly (readonly Float32Array[])[] }
    | undefined;
}

export interface Metric {
  readonly name: string;
  /** Of the whole set. */
  readonly value: number;
  readonly ci95: Interval;
  readonly perImage: readonly number[];
}

export interface System {
  readonly name: string;
  /** By image. */
  readonly captions: readonly string[];
  readonly metrics: readonly Metric[];
  readonly evaluation: Evaluation;
  readonly variety: {
    readonly value: Variety<number>;
    readonly ci95: Variety<Interval>;
    readonly described: DescribedVariety;
  };
  readonly lengths: Lengths;
}

/** One system beside another, on the same images. */
export interface Comparison {
  /** In the order of their metrics. */
  readonly metrics: readonly Difference[];
  readonly variety: Variety<Difference>;
}

export function testSet(
  images: readonly { readonly id: string; readonly captions: readonly string[] }[],
  training: readonly string[] | undefined,
  clip: TestSet["clip"],
): TestSet {
  const references = images.map(({ captions }) => captions);
  return {
    ids: images.map(({ id }) => id),
    references,
    tokens: references.map((captions) => captions.map(ptbTokenize)),
    training: training?.map(ptbTokenize),
    clip,
  };
}

/**
 * @param vectors CLIP's embeddings of the captions behind `CLIP_SCORE_PROMPT`, where the set has those of images and
 * references
 */
export function scoreSystem(
  name: string,
  captions: readonly string[],
  set: TestSet,
  vectors: readonly Float32Array[] | undefined,
): System {
  const tokens = captions.map(ptbTokenize);
  const items = tokens.map((candidate, i) => ({ candidate, references: set.tokens[i]! }));
  const evaluation = evaluate(items, { tokenized: true });
  const values = listMetrics(evaluation.corpus);
  const intervals = listMetrics(bootstrap(evaluation));
  const perImage = evaluation.perImage.map(listMetrics);
  const texts = METRIC_NAMES.map((metric, i) => ({
    name: metric,
    value: values[i]!,
    ci95: intervals[i]!,
    perImage: perImage.map((scores) => scores[i]!),
  }));
  const described = describeVariety(tokens, set.training);
  return {
    name,
    captions,
    metrics: [...texts, ...clipMetrics(set.clip, vectors)],
    evaluation,
    variety: { value: variety(described), ci95: varietyIntervals(described), described },
    lengths: lengths(tokens),
  };
}

function clipMetrics(clip: TestSet["clip"], vectors: readonly Float32Array[] | undefined): Metric[] {
  if (!clip || !vectors) return [];
  const plain = vectors.map((vector, i) => clipScore(clip.images[i]!, vector));
  const withReferences = vectors.map((vector, i) => refClipScore(clip.images[i]!, vector, clip.references[i]!));
  return [
    { name: "CLIPScore", value: mean(plain), ci95: bootstrapMean(plain), perImage: plain },
    {
      name: "RefCLIPScore",
      value: mean(withReferences),
      ci95: bootstrapMean(withReferences),
      perImage: withReferences,
    },
  ];
}

/** The second system minus the first. */
export function compareSystems(first: System, second: System): Comparison {
  const texts = listMetrics(comparePaired(first.evaluation, second.evaluation));
  const others = first.metrics.slice(texts.length).map(({ perImage }, i) => {
    return compareMeans(perImage, second.metrics[texts.length + i]!.perImage);
  });
  const variety = compareVariety(first.variety.described, second.variety.described);
  return { metrics: [...texts, ...others], variety };
}
