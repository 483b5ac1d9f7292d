import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AS_WRITTEN, type NormaliseOptions, normaliseCaption } from "../../../src/data/captions/normalise.js";

const OFF = AS_WRITTEN;

describe("normaliseCaption", () => {
  test.each([
    ["a dog runs", "A dog runs."],
    ["  a dog \t runs\r\n .  ", "A dog runs."],
    ["A dog , a cat ; and a cow .", "A dog, a cat; and a cow."],
    ["a man 's hat is n't red", "A man's hat isn't red."],
    ["a sign says ' free hugs '", "A sign says ' free hugs'."],
    ["wow !", "Wow."],
    ["what is this ?!", "What is this."],
    ["done...", "Done."],
    ["two dogs, ", "Two dogs."],
    ['a sign that says " active . "', 'A sign that says " active".'],
    ['a sign saying "Red Light."', 'A sign saying "Red Light".'],
    ["a room ( with a view )", "A room ( with a view)."],
    ["é cole", "É cole."],
    ["ßtrange", "ßtrange."],
    ["😀 smiles", "😀 smiles."],
    ["3.5 metres", "3.5 metres."],
    ["...", ""],
    ["\u00a0 \t", ""],
    ["", ""],
  ])("%j becomes %j", (text, expected) => {
    expect(normaliseCaption(text)).toBe(expected);
  });

  test.each<[string, NormaliseOptions, string]>([
    ["nothing", OFF, " a  Dog 's .  "],
    ["spaces", { ...OFF, spaces: true }, "a Dog 's ."],
    ["punctuation", { ...OFF, punctuation: true }, " a  Dog's.  "],
    ["lower case", { ...OFF, lowercase: true }, " a  dog 's .  "],
    ["period", { ...OFF, period: true }, " a  Dog 's."],
    ["lower case, then capital", { lowercase: true }, "A dog's."],
  ])("only %s", (_, options, expected) => {
    expect(normaliseCaption(" a  Dog 's .  ", options)).toBe(expected);
  });

  test("the capital alone", () => {
    expect(normaliseCaption("a Dog", { ...OFF, capital: true })).toBe("A Dog");
  });

  test("twice is once, for any text", () => {
    const words = fc.constantFrom(
      "a",
      "Dog",
      " ",
      "  ",
      ".",
      ",",
      "!",
      "?",
      '"',
      ")",
      "'",
      "'s",
      " n't",
      "\n",
      "…",
      "-",
      "é",
    );
    const texts = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.array(words).map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(texts, fc.boolean(), (text, lowercase) => {
        const once = normaliseCaption(text, { lowercase });
        expect(normaliseCaption(once, { lowercase })).toBe(once);
        if (once !== "") expect(once).toMatch(/[^.]\.$/);
        expect(once).not.toMatch(/\s{2}|^\s|\s$|\s[.,;:!?]/);
      }),
      { seed: 1, numRuns: 3000 },
    );
  });

  test("a long hostile caption takes no time", () => {
    expect(normaliseCaption(`a${" .".repeat(100_000)}b`)).toHaveLength(100_003);
  });
});
