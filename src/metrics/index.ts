/** clipcap-webgpu/metrics: scores of captions, for Node and browsers, without a GPU. docs/metrics.md explains the numbers. */
export { type Bleu, type BleuCounts, bleuCounts, bleuScore, sumBleuCounts } from "./bleu.js";
export {
  type BootstrapOptions,
  bootstrap,
  bootstrapMean,
  compareMeans,
  comparePaired,
  type Difference,
  type Interval,
} from "./bootstrap.js";
export { cocoResults, pairCaptions, parseCandidates, parseReferences } from "./captions.js";
export { ciderD } from "./cider.js";
export { CLIP_SCORE_PROMPT, clipScore, refClipScore } from "./clip-score.js";
export { type Diversity, diversity, type Lengths, lengths, novelShare } from "./diversity.js";
export { type EvaluateOptions, type Evaluation, evaluate, type Scores, tokenizeItems } from "./evaluate.js";
export type { CaptionItem } from "./item.js";
export { listMetrics, METRIC_NAMES, type PerMetric, perMetric } from "./per-metric.js";
export { ptbTokenize } from "./ptb.js";
export { rougeL } from "./rouge.js";
export {
  compareVariety,
  type DescribedVariety,
  describeVariety,
  type Variety,
  variety,
  varietyIntervals,
} from "./variety.js";
