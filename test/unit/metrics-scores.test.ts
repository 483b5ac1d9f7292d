import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bootstrap, bootstrapMean, compareMeans, comparePaired } from "../../src/metrics/bootstrap.js";
import { ciderD } from "../../src/metrics/cider.js";
import { clipScore, refClipScore } from "../../src/metrics/clip-score.js";
import { diversity, lengths, novelShare } from "../../src/metrics/diversity.js";
import { evaluate } from "../../src/metrics/evaluate.js";
import type { CaptionItem } from "../../src/metrics/item.js";
import { listMetrics } from "../../src/metrics/per-metric.js";
import { rougeL } from "../../src/metrics/rouge.js";
import { ClipCapError } from "../../src/runtime/errors.js";

const words = fc.constantFrom(..."a the man dog cat ball red blue on in runs sits".split(" "));
const caption = fc.array(words, { minLength: 1, maxLength: 9 }).map((list) => list.join(" "));
const item = fc.record({ candidate: caption, references: fc.array(caption, { minLength: 1, maxLength: 5 }) });
const items = fc.array(item, { minLength: 1, maxLength: 12 });

const scored = (list: readonly CaptionItem[]) => evaluate(list, { tokenized: true });

function expectClose(got: readonly number[], expected: readonly number[]) {
  for (const [i, value] of expected.entries()) expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(1e-12);
}

/** A made-up set whose candidates repeat a reference but for every `faults`-th word. */
function system(images: number, faults: number): CaptionItem[] {
  return Array.from({ length: images }, (_, i) => {
    const reference = Array.from({ length: 8 }, (_, k) => `w${(i * 7 + k * k) % 50}`);
    const candidate = reference.map((word, k) => ((i + k) % faults === 0 ? "wrong" : word));
    return { candidate: candidate.join(" "), references: [reference.join(" "), `w${i % 50} w1 w2 w3`] };
  });
}

describe("corpus scores", () => {
  it("do not depend on the order of images or of references", () => {
    fc.assert(
      fc.property(items, (list) => {
        const turned = list.map(({ candidate, references }) => ({ candidate, references: references.toReversed() }));
        expectClose(listMetrics(scored(turned.toReversed()).corpus), listMetrics(scored(list).corpus));
      }),
      { seed: 1 },
    );
  });

  it("of captions that are references: BLEU 1 (to its epsilon) and ROUGE-L 1", () => {
    fc.assert(
      fc.property(fc.array(fc.array(words, { minLength: 4, maxLength: 9 }), { minLength: 1 }), (list) => {
        const same = list.map((own) => ({ candidate: own.join(" "), references: [own.join(" "), "something else"] }));
        const { bleu, rougeL } = scored(same).corpus;
        for (const score of [...bleu, rougeL]) expect(score).toBeCloseTo(1, 8);
      }),
      { seed: 2 },
    );
  });

  it("are between 0 and 1, and 10 for CIDEr-D", () => {
    fc.assert(
      fc.property(items, (list) => {
        const { corpus, perImage } = scored(list);
        for (const { bleu, rougeL, ciderD } of [corpus, ...perImage]) {
          for (const score of [...bleu, rougeL, ciderD / 10]) {
            expect(score).toBeGreaterThanOrEqual(0);
            expect(score).toBeLessThanOrEqual(1 + 1e-9);
          }
        }
      }),
      { seed: 3 },
    );
  });

  it("of captions without a word in common are 0", () => {
    const list = [
      { candidate: "x y z u", references: ["a b c d"] },
      { candidate: "", references: ["e f"] },
    ];
    for (const score of listMetrics(scored(list).corpus)) expect(score).toBeLessThan(1e-6);
  });

  it("tokenise unless told otherwise", () => {
    const list = [{ candidate: "A Dog's grey.", references: ["a dog 's gray"] }];
    expect(evaluate(list).corpus.rougeL).toBeCloseTo(1, 12);
    expect(scored(list).corpus.rougeL).toBe(0);
  });

  it("CIDEr-D of one image is 0", () => {
    expect(scored([{ candidate: "a dog", references: ["a dog"] }]).corpus.ciderD).toBe(0);
  });

  it("no images is an error", () => expect(() => evaluate([])).toThrow(ClipCapError));

  it.each([
    [{ candidate: "a", references: [] }, "image 1 has no references; give at least one for each"],
    [{ candidate: "a" }, "image 1 has no references; give at least one for each"],
    [undefined, "image 1 has no references; give at least one for each"],
    [{ candidate: 5, references: ["a"] }, "image 1 has a caption that is no text"],
    [{ references: ["a"] }, "image 1 has a caption that is no text"],
    [{ candidate: "a", references: ["a", null] }, "image 1 has a caption that is no text"],
  ])("%j is an error", (wrong, message) => {
    const list = [{ candidate: "a", references: ["a"] }, wrong as CaptionItem];
    for (const score of [evaluate, ciderD]) {
      expect(() => score(list)).toThrow(expect.objectContaining({ code: "bad-input", message }));
    }
  });

  it("10,000 different n-grams keep their counts", () => {
    const list = Array.from({ length: 2500 }, (_, i) => ({
      candidate: `p${i} q${i} r${i} s${i}`,
      references: [`p${i} q${i} r${i} s${i}`],
    }));
    expect(scored(list).corpus.ciderD).toBeCloseTo(10, 10);
  });
});

describe("ROUGE-L", () => {
  /** The table of longest common subsequences, as it is taught. */
  function expected(a: readonly string[], b: readonly string[]): number {
    const table = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
    for (const [i, x] of a.entries())
      for (const [j, y] of b.entries())
        table[i + 1]![j + 1] = x === y ? table[i]![j]! + 1 : Math.max(table[i]![j + 1]!, table[i + 1]![j]!);
    return table[a.length]![b.length]!;
  }

  it("counts the longest common subsequence, whatever the length", () => {
    const word = fc.constantFrom(..."abc");
    const text = fc.array(word, { minLength: 1, maxLength: 140, size: "max" });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const common = expected(a, b);
        const [precision, recall] = [common / a.length, common / b.length];
        const f = common === 0 ? 0 : (2.44 * precision * recall) / (recall + 1.44 * precision);
        expectClose([rougeL(a.join(" "), [b.join(" ")])], [f]);
      }),
      { seed: 1 },
    );
  });

  it.each([1, 26])("two captions of 50,000 words of which %d differ end in time", (different) => {
    const text = (step: number) =>
      Array.from({ length: 50_000 }, (_, i) => String.fromCharCode(97 + ((i * step + (i >> 3)) % different))).join(" ");
    const before = process.cpuUsage();
    expect(rougeL(text(3), [text(5)])).toBeGreaterThan(0);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(4); // 1.4 s on a busy machine
  });
});

describe("bootstrap", () => {
  const good = scored(system(200, 9));
  const bad = scored(system(200, 3));

  it("intervals hold the score, are narrower for more images, and the same for the same seed", () => {
    const intervals = bootstrap(good, { resamples: 400, seed: 7 });
    expect(bootstrap(good, { resamples: 400, seed: 7 })).toEqual(intervals);
    expect(bootstrap(good, { resamples: 400, seed: 8 })).not.toEqual(intervals);
    const few = bootstrap(scored(system(20, 9)), { resamples: 400, seed: 7 });
    listMetrics(good.corpus).forEach((score, metric) => {
      const [low, high] = listMetrics(intervals)[metric]!;
      const [fewLow, fewHigh] = listMetrics(few)[metric]!;
      expect(low).toBeLessThan(score);
      expect(high).toBeGreaterThan(score);
      expect(high - low).toBeLessThan(fewHigh - fewLow);
    });
  });

  it("the interval of a mean is that of the normal approximation", () => {
    const rouge = good.perImage.map(({ rougeL }) => rougeL);
    const mean = rouge.reduce((sum, x) => sum + x, 0) / rouge.length;
    const deviation = Math.sqrt(rouge.reduce((sum, x) => sum + (x - mean) ** 2, 0) / rouge.length);
    const half = (1.96 * deviation) / Math.sqrt(rouge.length);
    const [low, high] = bootstrap(good, { resamples: 4000, seed: 1 }).rougeL;
    expect(Math.abs(low - (mean - half))).toBeLessThan(0.1 * half);
    expect(Math.abs(high - (mean + half))).toBeLessThan(0.1 * half);
  });

  it("the next seed draws other images, not the same ones by one place further", () => {
    const scores = Array.from({ length: 400 }, (_, i) => i / 400);
    const draws = Array.from({ length: 40 }, (_, seed) => bootstrapMean(scores, { resamples: 1, seed })[0]);
    const steps = draws.slice(1).map((mean, i) => Math.abs(mean - draws[i]!));
    // 0.0163 is expected of independent draws; one place further, no mean differs by more than 1 / 400
    expect(steps.reduce((sum, step) => sum + step, 0) / steps.length).toBeGreaterThan(0.012);
  });

  it("one image has an interval without width", () => {
    const { rougeL } = bootstrap(scored(system(1, 3)), { resamples: 10 });
    expect(rougeL[0]).toBe(rougeL[1]);
  });

  it("paired: a better system has a small p, an equal one 1", () => {
    for (const { difference, ci95, p } of listMetrics(comparePaired(bad, good, { resamples: 500 }))) {
      expect(difference).toBeGreaterThan(0);
      expect(ci95[0]).toBeGreaterThan(0);
      expect(p).toBeCloseTo(2 / 501, 12);
    }
    for (const { difference, p } of listMetrics(comparePaired(good, good))) expect([difference, p]).toEqual([0, 1]);
  });

  it("paired: of two systems with the same scores on other images, p is large", () => {
    const list = system(200, 9);
    const swapped = list.map((own, i) => ({ ...own, candidate: i % 2 ? "wrong" : own.candidate }));
    const others = list.map((own, i) => ({ ...own, candidate: i % 2 ? own.candidate : "wrong" }));
    expect(comparePaired(scored(swapped), scored(others)).rougeL.p).toBeGreaterThan(0.05);
  });

  it("other numbers of images, and no resamples, are errors", () => {
    expect(() => comparePaired(good, scored(system(3, 3)))).toThrow("scored on 200 and 3 images");
    expect(() => bootstrap(good, { resamples: 0 })).toThrow("resamples is 0; it must be a whole number from 1 to");
  });

  it("no scores are an error", () => {
    const error = expect.objectContaining({
      code: "bad-input",
      message: expect.stringMatching(/^there are no scores/),
    });
    expect(() => bootstrapMean([])).toThrow(error);
    expect(() => compareMeans([], [])).toThrow(error);
  });

  it.each([1.5, -1, 2 ** 32, Number.NaN])("the seed %f is an error", (seed) => {
    expect(() => bootstrapMean([1, 2], { seed })).toThrow(`seed is ${seed}; it must be a whole number from 0 to`);
  });
});

describe("diversity and lengths", () => {
  it.each([
    ["diversity", () => diversity([])],
    ["lengths", () => lengths([])],
    ["novelShare", () => novelShare([], ["a"])],
  ])("%s of no captions is an error", (_, measure) => {
    const message = "there are no captions; give at least one";
    expect(measure).toThrow(expect.objectContaining({ code: "bad-input", message }));
  });

  const captions = ["a dog runs", "a dog runs", "a cat", ""];

  it("counts words, pairs and sentences", () => {
    expect(diversity(captions)).toEqual({ vocabulary: 4, distinctCaptions: 3 / 4, distinct: [4 / 8, 3 / 5] });
    expect(diversity([""])).toEqual({ vocabulary: 0, distinctCaptions: 1, distinct: [0, 0] });
  });

  it("novel are captions that training did not have", () => {
    expect(novelShare(captions, ["a dog  runs", "the cat"])).toBe(2 / 4);
  });

  it("lengths in words", () => {
    const all = lengths(captions);
    expect(all).toMatchObject({ mean: 2, shortest: 0, median: 2.5, longest: 3 });
    expect(all.deviation).toBeCloseTo(Math.sqrt(6 / 4), 12);
  });
});

describe("CLIPScore", () => {
  it("is 2.5 times the cosine, and 0 below", () => {
    expect(clipScore([3, 4], [6, 8])).toBeCloseTo(2.5, 12);
    expect(clipScore([1, 0], [1, Math.sqrt(3)])).toBeCloseTo(1.25, 12);
    expect(clipScore([1, 0], [-1, 1])).toBe(0);
    expect(clipScore([0, 0], [1, 1])).toBe(0);
  });

  it("with references: harmonic mean with the best of them", () => {
    const half = [1, Math.sqrt(3)];
    expect(refClipScore([1, 0], [1, 0], [[0, 1], half])).toBeCloseTo((2 * 2.5 * 0.5) / 3, 12);
    expect(refClipScore([1, 0], [1, 0], [[-1, 0]])).toBe(0);
    expect(refClipScore([-1, 0], [1, 0], [[1, 0]])).toBe(0);
  });

  it("needs embeddings of one width", () => {
    expect(() => clipScore([1], [1, 2])).toThrow("embeddings have 1 and 2 values");
  });
});
