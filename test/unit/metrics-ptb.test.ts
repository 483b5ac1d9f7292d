import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ptbTokenize } from "../../src/metrics/ptb.js";

describe("Treebank tokens", () => {
  it.each([
    // lower case comes last, so brackets stay: coco-caption's list of punctuation has them in capitals
    ["A (red) dog [wet] {old}", "a -lrb- red -rrb- dog -lrb- wet -rrb- -lcb- old -rcb-"],
    ["a -LRB- b", "a -lrb- b"],
    // punctuation
    ["Stop! Who? Me: you, them; us.", "stop who me you them us"],
    ["wow!! what?! yes...", "wow !! what ?! yes"],
    ["wait. . . there", "wait there"],
    ["a - b -- c --- d ---- e ----- f", "a b c d e ----- f"],
    ["she said \"stop\" and 'go'", "she said stop and go"],
    ["3, 2, 1", "3 2 1"],
    // contractions
    [
      "isn't can't won't they'll I'm we've she'd it's you're",
      "is n't ca n't wo n't they 'll i 'm we 've she 'd it 's you 're",
    ],
    ["cannot Cannot CANNOT cannots", "can not can not can not cannots"],
    ["the girl's bike, the boys' school", "the girl 's bike the boys school"],
    ["y'all", "y' all"],
    ["rock 'n' roll at five o'clock in the '90s", "rock 'n' roll at five o'clock in the '90s"],
    // numbers and signs
    ["3.5 inches, 1,000 men at 12:30, .5, -4", "3.5 inches 1,000 men at 12:30 .5 -4"],
    ["$5 100% #5 #dog C# US$", "$ 5 100 % # 5 #dog c # us$"],
    ["1/2 ½ ¼ 12/25/2010", "1\\/2 1\\/2 1\\/4 12\\/25\\/2010"],
    ["5 1/2", "5\u00A01\\/2"],
    ["£5 €5 5¢", "# 5 $ 5 5 cents"],
    ["and/or * **", "and\\/or \\* \\*\\*"],
    ["cats & dogs &amp; A&W x+y=z", "cats & dogs & a&w x + y = z"],
    ["555-123-4567", "555-123-4567"],
    // words that are kept whole
    ["snow-covered t-shirt a_b 2nd 3d A380", "snow-covered t-shirt a_b 2nd 3d a380"],
    ["a man,well-dressed", "a man,well-dressed"],
    ["Mr. Smith, St. Bernard, U.S. team at 5 p.m.", "mr. smith st. bernard u.s. team at 5 p.m."],
    ["a mass. Mass. no.", "a mass mass. no."],
    [
      "see http://x.org/a_b, www.dogs.com or me@x.org @name",
      "see http:\\/\\/x.org\\/a_b www.dogs.com or me@x.org @name",
    ],
    ["<unk> a <b", "<unk> a -lrb- b"],
    // other quotes, dashes, dots
    ["“Hello” ‘there’ dog’s isn’t", "hello there dog 's is n't"],
    ["a–b — c…d", "a b c d"],
    // other scripts: a run of letters is a word
    ["Ein Mädchen läuft", "ein mädchen läuft"],
    ["日本語の猫。 кошка; собака हिन्दी", "日本語の猫 。 кошка собака हिन्दी"],
    ["dog😀cat 🐕", "dog cat"],
    ["soft\u00ADhyphen zero\u200Bwidth no\u00A0break", "softhyphen zero width no break"],
    ["a\r\nb\tc", "a b c"],
  ])("%j", (text, tokens) => expect(ptbTokenize(text)).toBe(tokens));

  it("nothing but spaces and punctuation: an empty text, so that captions keep their places", () => {
    expect(["", "  ", "\n", ".", '"..." - ,;:!', "\u0000"].map(ptbTokenize)).toEqual(["", "", "", "", "", ""]);
  });
});

describe("American spelling", () => {
  it.each([
    ["colour colours coloured colourful grey theatre centre", "color colors colored colorful gray theater center"],
    [
      "travelling organisation realise analyse practise catalogue",
      "traveling organization realize analyze practice catalogue",
    ],
    ["leukaemia anaemia haemoglobin programme programmes", "leukemia anemia hemoglobin program programs"],
    ["learnt manoeuvre defence kerb analogue", "learned maneuver defense curb analog"],
    // too short, excepted, or not on the list
    ["odour flour four hours your sour", "odour flour four hours your sour"],
    ["contour detour velour glamour pompadour", "contour detour velour glamour pompadour"],
    ["travellers favourable armouring moustache", "travellers favourable armouring moustache"],
    // before case is lowered, and within whole words only
    ["Grey Theatre Colour Labour Defence", "grey theatre colour labor defense"],
    ["grey-haired grey's", "grey-haired gray 's"],
  ])("%s", (british, american) => expect(ptbTokenize(british)).toBe(american));
});

describe("any text", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom(..."ab'.,-/ ($\"3<&;@#:…’") }),
  );

  it("gives tokens of no spaces, in lower case, without punctuation, joined by single spaces", () => {
    fc.assert(
      fc.property(text, (any) => {
        const tokens = ptbTokenize(any);
        expect(tokens).toBe(tokens.toLowerCase());
        if (tokens === "") return;
        for (const token of tokens.split(" ")) {
          expect(token).not.toBe("");
          expect(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"]).not.toContain(token);
        }
      }),
      { seed: 4, numRuns: 2000 },
    );
  });

  it("plain words come out as they are, twice as well as once", () => {
    const words = fc.array(fc.stringMatching(/^[b-df-hj-np-tv-z]{2,8}$/), { minLength: 1 });
    fc.assert(
      fc.property(words, (list) => {
        const tokens = ptbTokenize(`${list.join(" ")} .`);
        expect(ptbTokenize(tokens)).toBe(tokens);
        expect(tokens.split(" ").length).toBe(list.length);
      }),
      { seed: 5 },
    );
  });

  it("words come out the same by the short way, which wants a space or the end behind them, and by the rules", () => {
    const words = fc.array(
      fc.oneof(
        fc.stringMatching(/^[A-Za-z]{1,9}$/),
        fc.constantFrom("colour", "Cannot", "cannot", "Mr", "ft", "Grey", "no", "I"),
      ),
    );
    fc.assert(
      fc.property(words, (list) => {
        expect(ptbTokenize(list.join(" "))).toBe(ptbTokenize(`${list.join("\t")}\t`));
      }),
      { seed: 6, numRuns: 1000 },
    );
  });

  it("100,000 characters without a space, of which rules look far ahead, end in time", () => {
    for (const unit of ["a,", "<", "a", "a@", "1.", "-", "'", "a-", "x.", "é.", "a'", "&#1", "http://"]) {
      expect(ptbTokenize(unit.repeat(100_000 / unit.length)).length).toBeLessThan(400_000);
    }
    expect(
      ptbTokenize("a".repeat(1000))
        .split(" ")
        .map((token) => token.length),
    ).toEqual([512, 488]);
  }, 60_000);
});
