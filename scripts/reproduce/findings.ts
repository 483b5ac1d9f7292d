// What the original found, asked of new numbers. Nothing here knows which answer is wanted.
import type { Difference } from "../../src/metrics/bootstrap.js";

/** One number of each of the original's two variants: the transformer with frozen GPT-2, the MLP with a fine-tuned one. */
export interface Pair {
  readonly transformer: number;
  readonly mlp: number;
  /** MLP minus transformer; absent where there is one number of each and nothing to draw from. */
  readonly difference?: Difference;
}

export interface Measured {
  /** Mean training losses of the first epoch and validation losses at its end, where they were looked at by then. */
  readonly firstTraining: Pair;
  readonly firstValidation: Pair | undefined;
  /** Mean training losses of the last epoch and lowest validation losses. */
  readonly lastTraining: Pair;
  readonly bestValidation: Pair;
  /** Of all test pictures. */
  readonly bleu4: Pair;
  readonly ciderD: Pair;
}

export type Verdict = "holds" | "does not hold" | "is not decided";
export type Side = "for" | "against" | "neither";

export interface Evidence extends Pair {
  readonly what: string;
  readonly side: Side;
}

export interface Finding {
  readonly claim: string;
  readonly verdict: Verdict;
  readonly evidence: readonly Evidence[];
}

/** Differences that chance alone makes more often than this count for neither side. */
const SIGNIFICANT = 0.05;

export function findings(m: Measured): Finding[] {
  const lowerTransformer = (what: string, pair: Pair) => evidence(what, pair, pair.mlp - pair.transformer);
  const lowerMlp = (what: string, pair: Pair) => evidence(what, pair, pair.transformer - pair.mlp);
  const higherMlp = (what: string, pair: Pair) => evidence(what, pair, pair.mlp - pair.transformer);
  return [
    finding("The loss of the transformer mapper with frozen GPT-2 falls faster", [
      lowerTransformer("training loss, mean of the first epoch", m.firstTraining),
      ...(m.firstValidation ? [lowerTransformer("validation loss after the first epoch", m.firstValidation)] : []),
    ]),
    finding("The loss of the MLP mapper with fine-tuned GPT-2 ends lower", [
      lowerMlp("training loss, mean of the last epoch", m.lastTraining),
      lowerMlp("validation loss, lowest", m.bestValidation),
    ]),
    finding("The MLP mapper with fine-tuned GPT-2 scores higher", [
      higherMlp("BLEU-4, all test pictures", m.bleu4),
      higherMlp("CIDEr-D, all test pictures", m.ciderD),
    ]),
  ];
}

/** @param support above 0 where the numbers are as the claim says */
function evidence(what: string, pair: Pair, support: number): Evidence {
  const chance = pair.difference !== undefined && pair.difference.p >= SIGNIFICANT;
  const side = chance || support === 0 || Number.isNaN(support) ? "neither" : support > 0 ? "for" : "against";
  return { what, ...pair, side };
}

/** A claim holds where all evidence is for it, and does not where none is for it and some against it. */
function finding(claim: string, evidence: readonly Evidence[]): Finding {
  const has = (side: Side) => evidence.some((one) => one.side === side);
  const isSupported = has("for") && !has("against") && !has("neither");
  const isContradicted = has("against") && !has("for");
  return { claim, verdict: isSupported ? "holds" : isContradicted ? "does not hold" : "is not decided", evidence };
}
