/** BLEU, ROUGE-L, CIDEr-D and Treebank tokens against coco-caption's formulas in Python. */
import { describe, expect, it } from "vitest";
import { bleuCounts, sumBleuCounts } from "../../src/metrics/bleu.js";
import { evaluate } from "../../src/metrics/evaluate.js";
import { ptbTokenize } from "../../src/metrics/ptb.js";
import { goldenJson } from "../goldens.js";

interface Item {
  readonly hypothesis: string;
  readonly references: readonly string[];
}

interface Set {
  readonly name: string;
  readonly items: readonly Item[];
  /** The items before tokenisation, where that is part of the set. */
  readonly raw?: readonly Item[];
  readonly bleu: {
    readonly corpus: readonly number[];
    readonly sentence: readonly (readonly number[])[];
    readonly counts: { testlen: number; reflen: number; guess: readonly number[]; correct: readonly number[] };
  };
  readonly rouge_l: { readonly corpus: number; readonly sentence: readonly number[] };
  readonly cider_d: { readonly corpus: number; readonly sentence: readonly number[] };
}

const { sets } = goldenJson<{ sets: readonly Set[] }>("metrics.json");
const TOLERANCE = 1e-9;

function toItems(items: readonly Item[]) {
  return items.map(({ hypothesis, references }) => ({ candidate: hypothesis, references }));
}

function expectClose(got: readonly number[], expected: readonly number[], tolerance = TOLERANCE) {
  expect(got.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(tolerance);
}

it("there are sets, with and without tokenisation", () => {
  expect(sets.length).toBeGreaterThan(0);
  expect(sets.some(({ raw }) => raw !== undefined)).toBe(true);
});

describe.each(sets)("$name", ({ items, raw, bleu, rouge_l, cider_d }) => {
  const scored = evaluate(toItems(items), { tokenized: true });

  it("BLEU counts", () => {
    const sum = sumBleuCounts(items.map(({ hypothesis, references }) => bleuCounts(hypothesis, references)));
    const { testlen, reflen, guess, correct } = bleu.counts;
    expect(sum).toEqual({ length: testlen, referenceLength: reflen, guessed: guess, correct });
  });

  it("scores of the corpus", () => {
    const { bleu: got, rougeL, ciderD } = scored.corpus;
    expectClose([...got, rougeL, ciderD], [...bleu.corpus, rouge_l.corpus, cider_d.corpus]);
  });

  it("scores of each caption", () => {
    expect(scored.perImage.length).toBe(items.length);
    for (const [i, { bleu: got, rougeL, ciderD }] of scored.perImage.entries()) {
      expectClose([...got, rougeL, ciderD], [...bleu.sentence[i]!, rouge_l.sentence[i]!, cider_d.sentence[i]!]);
    }
  });

  if (raw !== undefined) {
    it("tokens", () => {
      const tokens = raw.map(({ hypothesis, references }) => ({
        hypothesis: ptbTokenize(hypothesis),
        references: references.map(ptbTokenize),
      }));
      expect(tokens).toEqual(items);
    });

    it("scores from raw text", () => {
      expect(evaluate(toItems(raw)).corpus).toEqual(scored.corpus);
    });
  }
});

/** Four images that pycocoevalcap scored; the set is printed here so that it cannot change with the files. */
it("published values of pycocoevalcap", () => {
  const items = [
    {
      candidate: "a man riding a wave on a surfboard",
      references: [
        "a man riding a wave on top of a surfboard",
        "a surfer rides a large wave in the ocean",
        "man on a surfboard riding a wave",
      ],
    },
    {
      candidate: "a black dog sleeping on a couch",
      references: ["a black dog laying on a red couch", "a dog is sleeping on the couch", "a dog lies on a sofa"],
    },
    {
      candidate: "a couple of people standing next to a dog",
      references: [
        "two people standing next to an elephant",
        "a couple of people stand near an elephant",
        "people pose with an elephant",
      ],
    },
    {
      candidate: "a plate of broccoli",
      references: [
        "a plate of food with broccoli and rice",
        "a white plate topped with rice and vegetables",
        "broccoli and rice on a plate",
      ],
    },
  ];
  const { corpus, perImage } = evaluate(items);
  const bleu = [0.9285714285051021, 0.8573908370805318, 0.7394465523920943, 0.5962008580402399];
  expectClose([...corpus.bleu, corpus.rougeL, corpus.ciderD], [...bleu, 0.7005804273480113, 2.553560670820253], 1e-12);
  expectClose(
    perImage.map(({ rougeL }) => rougeL),
    [0.8714285714285713, 0.7904967602591793, 0.5115303983228512, 0.6288659793814433],
    1e-12,
  );
  expectClose(
    perImage.map(({ ciderD }) => ciderD),
    [3.9374941643080867, 2.0204610496285187, 2.396221823720011, 1.860065645624397],
    1e-12,
  );
});
