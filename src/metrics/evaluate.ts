import { ClipCapError } from "../runtime/errors.js";
import { type BleuCounts, bleuCounts, bleuScore, sumBleuCounts } from "./bleu.js";
import { ciderD } from "./cider.js";
import { type CaptionItem, checkItems } from "./item.js";
import type { PerMetric } from "./per-metric.js";
import { ptbTokenize } from "./ptb.js";
import { rougeL } from "./rouge.js";

export type Scores = PerMetric<number>;

export interface Evaluation {
  /** Of the whole set: BLEU from summed counts, the others as means over images. */
  readonly corpus: Scores;
  /** Of each image, in the order given. */
  readonly perImage: readonly Scores[];
  /** What each image adds to corpus BLEU. */
  readonly bleuCounts: readonly BleuCounts[];
}

export interface EvaluateOptions {
  /** Texts are tokens joined by single spaces already; default false, they go through `ptbTokenize`. */
  readonly tokenized?: boolean;
}

/**
 * BLEU, ROUGE-L and CIDEr-D as coco-caption computes them. An empty candidate is scored like any other (BLEU 0); so is
 * text in another script, of which Treebank's rules make a token of each run of letters.
 * @throws ClipCapError `bad-input` for no images, one without references, or captions that are no texts.
 */
export function evaluate(items: readonly CaptionItem[], options: EvaluateOptions = {}): Evaluation {
  if (items.length === 0)
    throw new ClipCapError("bad-input", "there are no captions to score; give at least one image");
  checkItems(items);
  const tokens = options.tokenized ? items : tokenizeItems(items);
  const counts = tokens.map(({ candidate, references }) => bleuCounts(candidate, references));
  const rouge = tokens.map(({ candidate, references }) => rougeL(candidate, references));
  const cider = ciderD(tokens);
  return {
    corpus: { bleu: bleuScore(sumBleuCounts(counts)), rougeL: mean(rouge), ciderD: mean(cider) },
    perImage: counts.map((own, i) => ({ bleu: bleuScore(own), rougeL: rouge[i]!, ciderD: cider[i]! })),
    bleuCounts: counts,
  };
}

/** Both sides as Treebank tokens. */
export function tokenizeItems(items: readonly CaptionItem[]): CaptionItem[] {
  return items.map(({ candidate, references }) => ({
    candidate: ptbTokenize(candidate),
    references: references.map(ptbTokenize),
  }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
