/** Treebank tokens: every rule that src/metrics/ptb.ts claims, and that any text whatever comes out well-formed and in time. */
import { describe, expect, it } from "vitest";
import { americanize } from "../../src/metrics/americanize.js";
import { ptbTokenize } from "../../src/metrics/ptb.js";

describe("Treebank tokens", () => {
  it.each([
    // punctuation goes, wherever it stands
    ["A man, a dog; two cats: what now?!", "a man a dog two cats what now"],
    ['The sign says "stop".', "the sign says stop"],
    ["“Stop” ‘now’ ``here'' 'there.'", "stop now here there"],
    ["a hill -- a skier — a tree – the end... or not…", "a hill a skier a tree the end or not"],
    ["a dog - a cat .", "a dog a cat"],
    ["red,white,blue", "red white blue"],
    // numbers and words with something inside
    ["3.5 inches, 1,000 people at 10:30.", "3.5 inches 1,000 people at 10:30"],
    ["in 2010, 5,", "in 2010 5"],
    ["a well-known T-shirt", "a well-known t-shirt"],
    ["five o'clock in O'Hare, ma'am", "five o'clock in o'hare ma'am"],
    // full stops
    ["Mr. and Mrs. Smith of St. Louis, Jr., etc.", "mr. and mrs. smith of st. louis jr. etc."],
    ["at 5 p.m. in the U.S.", "at 5 p.m. in the u.s."],
    ["J. runs on the road.", "j. runs on the road"],
    ["Sgt. Pepper, Mt. Fuji, 5th Ave. and Main Rd., Jan. 5.", "sgt. pepper mt. fuji 5th ave. and main rd. jan. 5"],
    ["he runs.'", "he runs"],
    // contractions and possessives
    ["It isn't; he can't, they DON'T.", "it is n't he ca n't they do n't"],
    [
      "I'm sure we've seen she'll say they're what he'd say",
      "i 'm sure we 've seen she 'll say they 're what he 'd say",
    ],
    ["The girl’s bike by the boys' school", "the girl 's bike by the boys school"],
    ["a girl 's bike does n't move", "a girl 's bike does n't move"],
    ["He Cannot see", "he can not see"],
    ["rock 'n' roll of the '90s, get 'em.", "rock 'n' roll of the '90s get 'em"],
    // signs
    ["a $5 bill, 50% off, #1 & #2", "a $ 5 bill 50 % off # 1 & # 2"],
    ["R&amp;B, AT&T's M&Ms & r&b", "r&b at&t 's m&m s & r & b"],
    ["#fun at #1, a #sunny_day.", "#fun at # 1 a #sunny_day"],
    ["€5, ¥6, £7, 8¢", "$ 5 $ 6 # 7 8 cents"],
    ["a street (red) [big] {old}", "a street -lrb- red -rrb- -lsb- big -rsb- -lcb- old -rcb-"],
    ["black/white * 1/2", "black\\/white \\* 1\\/2"],
    ["½ of 1½ cups", "1\\/2 of 1 1\\/2 cups"],
    ["20° ❤️fun", "20 ° ❤️ fun"],
    // spaces and scripts
    ["  two\ndogs\t\u00A0run\u200B \u0000", "two dogs run"],
    ["一只狗。两只猫", "一只狗 。 两只猫"],
    ["Ein Hündchen", "ein hündchen"],
    // no rules of their own
    ["gonna wanna", "gonna wanna"],
    ["me@example.org", "me@example.org"],
    ["http://example.org/a", "http \\/\\/example.org\\/a"],
  ])("%j", (text, tokens) => {
    expect(ptbTokenize(text)).toBe(tokens);
  });

  it.each(["", " ", "\n", ".", "...", "' \" -", "?!;:,", "''''", "-'."])("%j: nothing", (text) => {
    expect(ptbTokenize(text)).toBe("");
  });

  it("American spelling comes before lower case: a grey at the start of a sentence stays", () => {
    expect(ptbTokenize("Grey dog, grey dog, grey's, grey-haired")).toBe("grey dog gray dog gray 's grey-haired");
  });
});

/** What CoreNLP's Americanize.java of 2014 gives. */
describe("American spelling", () => {
  it.each([
    // listed
    ["grey", "gray"],
    ["kerb", "curb"],
    ["leant", "leaned"],
    ["learnt", "learned"],
    ["centre", "center"],
    ["theatres", "theaters"],
    ["fibre", "fiber"],
    ["meagre", "meager"],
    ["analogue", "analog"],
    ["homologues", "homologs"],
    ["defence", "defense"],
    ["Defence", "Defense"],
    ["Labour", "Labor"],
    ["manoeuvres", "maneuvers"],
    ["oestrogen", "estrogen"],
    ["chimaeric", "chimeric"],
    ["encyclopaedia", "encyclopedia"],
    ["practise", "practice"],
    ["practised", "practiced"],
    ["analysing", "analyzing"],
    ["capitalisation", "capitalization"],
    ["organisations", "organizations"],
    ["pressurises", "pressurizes"],
    ["realise", "realize"],
    ["recognised", "recognized"],
    ["travelling", "traveling"],
    ["labelled", "labeled"],
    ["coloured", "colored"],
    ["colourful", "colorful"],
    ["favourites", "favorites"],
    ["neighbourhood", "neighborhood"],
    // by pattern
    ["colour", "color"],
    ["colours", "colors"],
    ["watercolours", "watercolors"],
    ["parkour", "parkor"],
    ["programme", "program"],
    ["programmes", "programs"],
    ["haematology", "hematology"],
    ["anaemia", "anemia"],
    ["leukaemia", "leukemia"],
  ])("%s becomes %s", (british, american) => {
    expect(americanize(british)).toBe(american);
    expect(americanize(american)).toBe(american);
  });

  it.each(
    (
      "odour odours hours four yours pouring flours contour contours detour devours downpour glamour glamours velour journey " +
      "greys greyish greyhound metre litre kilometre centres centred sabre jewellery woollen traveller pedalling neighbouring " +
      "labourer multicoloured tyre organise practising analyses haemoglobin programmer " +
      "Grey Colour COLOUR grey-haired tv-programme"
    ).split(" "),
  )("%s stays", (word) => {
    expect(americanize(word)).toBe(word);
  });
});

describe("any text", () => {
  const PIECES = [
    ..."abNnTtsS'’`\".,:;!?-–—…/*$€¢£%#&()[]{}0159½@_+ \n\u00A0\u0301\u200D\uFE0F狗。👍\uD83D",
    "n't",
    "'s",
    "cannot",
    "Mr.",
    "--",
    "...",
    "&amp;",
    "grey",
  ];
  const DROPPED = new Set(["", "''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"]);
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };

  it("gives tokens without spaces, in lower case, none of which coco-caption drops", () => {
    let count = 0;
    for (let i = 0; i < 2000; i++) {
      const text = Array.from({ length: random(24) }, () => PIECES[random(PIECES.length)]).join("");
      const tokens = ptbTokenize(text);
      expect(tokens).toBe(tokens.toLowerCase());
      if (tokens === "") continue;
      for (const token of tokens.split(" ")) {
        count++;
        if (DROPPED.has(token) || /\s/.test(token))
          throw new Error(`${JSON.stringify(text)}: ${JSON.stringify(tokens)}`);
      }
    }
    expect(count).toBeGreaterThan(2000);
  });

  /**
   * Something that takes quadratic time needs minutes for 100,000 characters, and what is linear a fifth of a second. Time of
   * this process's own work is taken, so that others on the machine do not count.
   */
  it.each([
    "a",
    "'",
    ".",
    ".'",
    '"',
    "-",
    ",",
    "1,",
    "a.",
    "n't",
    "'s",
    "our",
    "our",
    "A",
    "A&",
    "#",
    "#a",
    "½1",
    "\u0301",
    "👍\u200D",
    " ",
    "/",
    "(",
  ])("100,000 characters of %j end in time", (piece) => {
    const run = piece.repeat(100_000 / piece.length);
    const before = process.cpuUsage();
    for (const text of [`'${run}x`, `x${run}.`]) ptbTokenize(text);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(5);
  });
});
