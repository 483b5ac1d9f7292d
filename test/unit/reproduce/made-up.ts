import { findings, type Measured, type Pair } from "../../../scripts/reproduce/findings.js";
import type { ExperimentResult, VariantResult } from "../../../scripts/reproduce/result.js";

export function pair(transformer: number, mlp: number, p: number): Pair {
  const difference = mlp - transformer;
  return { transformer, mlp, difference: { difference, ci95: [difference - 0.01, difference + 0.01], p } };
}

/** Numbers as the original's findings want them (1), against them (-1), or without any difference (0). */
export function measured(sense: -1 | 0 | 1): Measured {
  const p = sense === 0 ? 1 : 0.002;
  return {
    firstTraining: pair(3, 3 + 0.5 * sense, p),
    firstValidation: { transformer: 2.5, mlp: 2.5 + 0.25 * sense },
    lastTraining: pair(2, 2 - 0.25 * sense, p),
    bestValidation: { transformer: 2.2, mlp: 2.2 - 0.125 * sense },
    bleu4: pair(0.2, 0.2 + 0.05 * sense, p),
    ciderD: pair(0.5, 0.5 + 0.125 * sense, p),
  };
}

/** All of a page with hostile texts in it. */
export function result(sense: -1 | 0 | 1, fields: Partial<ExperimentResult> = {}): ExperimentResult {
  const scores = { bleu4: { value: 0.2, ci95: [0.1, 0.3] }, ciderD: { value: 0.5, ci95: [-0.0001, 0.6] } } as const;
  const variant = (name: VariantResult["variant"], loss: number): VariantResult => ({
    variant: name,
    parameters: { trained: 3_608_320, total: 14_000_000 },
    seconds: 391,
    bestEpoch: 2,
    bestLoss: loss,
    training: [
      { epoch: 1, loss: loss + 1 },
      { epoch: 2, loss },
    ],
    validation: [
      { epoch: 1, loss: loss + 0.75 },
      { epoch: 2, loss: loss + 0.125 },
    ],
    all: scores,
    subset: scores,
    different: 1234,
    right: undefined,
  });
  return {
    name: "flickr8k",
    madeUp: false,
    confidential: true,
    adapters: ["an adapter"],
    commits: ["0badcafe0bad"],
    seed: 1,
    batch: 40,
    schedule: { type: "linear", lr: 0.0005 },
    epochs: 2,
    pictures: { train: 6000, dev: 200, test: 1000, subset: 193 },
    variants: [variant("mlp-tuned", 2), variant("transformer-frozen", 2.25)],
    findings: findings(measured(sense)),
    samples: [
      { id: "a|b.jpg", references: ["A secret *caption*."], captions: ["A dog | a cat.", "A <b>dog</b>\nruns."] },
    ],
    ...fields,
  };
}
