import type { Variety } from "../metrics/variety.js";
import { RECALL_AT, type Recall, type Retrieval } from "./retrieval.js";
import type { Comparison, System, TestSet } from "./scoring.js";

/** All that an evaluation found. */
export interface EvalResult {
  readonly data: string;
  readonly split: string;
  /** How captions were decoded, such as "greedy" or "beam 5". */
  readonly decoding: string;
  /** Digest of the measured choices of kernels, null where the usual ones made the captions. */
  readonly tuned: string | null;
  readonly set: TestSet;
  /** Ids of images that could not be read. */
  readonly leftOut: readonly string[];
  /** The model's captions first, then what they are compared with. */
  readonly systems: readonly System[];
  /** Of systems 1, 2 … minus system 0. */
  readonly comparisons: readonly Comparison[];
  readonly retrieval: Retrieval | undefined;
}

/** The result as scores.json and `--json` give it; the same numbers have the same names in `clipcap metrics`. */
export function resultJson(result: EvalResult): object {
  const { data, split, decoding, tuned, set, leftOut, systems, comparisons, retrieval } = result;
  const [first, ...others] = systems;
  return {
    ...systemJson(first!),
    n: set.ids.length,
    data,
    split,
    decoding,
    tuned,
    left_out: leftOut,
    ...(retrieval && {
      retrieval: { image_to_text: recallJson(retrieval.imageToText), text_to_image: recallJson(retrieval.textToImage) },
    }),
    ...(others.length > 0 && {
      compare: others.map((system, i) => ({ ...systemJson(system), difference: comparisonJson(comparisons[i]!) })),
    }),
  };
}

function systemJson({ name, metrics, variety: { value, ci95 }, lengths }: System): object {
  return {
    system: name,
    ...byName(metrics.map(({ value }) => value)),
    ci95: byName(metrics.map(({ ci95 }) => ci95)),
    diversity: { ...diversityJson(value), ci95: diversityJson(ci95) },
    words: { ...lengths, ci95: { mean: ci95.words } },
  };
}

function comparisonJson({ metrics, variety }: Comparison): object {
  return { ...byName(metrics), diversity: diversityJson(variety), words: { mean: variety.words } };
}

function diversityJson<T>({ vocabulary, distinctCaptions, distinct1, distinct2, novel }: Variety<T>): object {
  return {
    vocabulary,
    distinct_captions: distinctCaptions,
    distinct: [distinct1, distinct2],
    ...(novel !== undefined && { novel }),
  };
}

/** Values in the order of a system's metrics. */
function byName<T>([bleu1, bleu2, bleu3, bleu4, rougeL, ciderD, clip, refClip]: readonly T[]): object {
  return {
    bleu: [bleu1, bleu2, bleu3, bleu4],
    rouge_l: rougeL,
    cider_d: ciderD,
    ...(clip !== undefined && { clip_score: clip, ref_clip_score: refClip }),
  };
}

function recallJson({ recall, ci95 }: Recall): object {
  const at = <T>(values: readonly T[]) => Object.fromEntries(RECALL_AT.map((k, i) => [`r${k}`, values[i]!]));
  return { ...at(recall), ci95: at(ci95) };
}
