/** Treebank tokens: what the rules of the lexer give, by hand, and that any text whatever comes out well-formed and in time. */
import { describe, expect, it } from "vitest";
import { americanize } from "../../src/metrics/americanize.js";
import { ptbTokenize } from "../../src/metrics/ptb.js";

describe("Treebank tokens", () => {
  it.each([
    // what coco-caption drops is dropped where it is a token of its own
    ["A man, a dog; two cats: what now?", "a man a dog two cats what now"],
    ["wow! what? wow!! what?! !!!", "wow what wow !! what ?! !!!"],
    ['The sign says "stop".', "the sign says stop"],
    ["“Stop” ‘now’ ``here'' 'there.' ‹q› «r»", "stop now here there q r"],
    ["„low‟ `’", "„ low ‟ `'"],
    ["a hill -- a skier — a tree – the end... or not…", "a hill a skier a tree the end or not"],
    ["a . . . b .. c ....... d", "a b c d"],
    ["a - b -- c --- d ---- e ----- f", "a b c d e ----- f"],
    ["red,white,blue", "red white blue"],
    // hyphens
    ["a well-known T-shirt, on-the-go, 10-year-old", "a well-known t-shirt on-the-go 10-year-old"],
    ["tri- colored black- and-white -brown- #hash-tag", "tri colored black and-white brown #hash tag"],
    ["pro-war pro- anti- -LRB-", "pro-war pro- anti- -lrb-"],
    ["red,white-blue e_mail _ a__b well‑known", "red,white-blue e_mail _ a __ b well‑known"],
    ["non-U.S. x-ray., end", "non-u.s. x-ray. end"],
    // numbers
    ["3.5 inches, 1,000 people at 10:30.", "3.5 inches 1,000 people at 10:30"],
    ["10:30am 3.5m 5am 1st 1980s", "10:30 am 3.5 m 5am 1st 1980s"],
    ["in 2010, 5, cats,2 dogs:3 +4 -5 .5", "in 2010 5 cats ,2 dogs :3 +4 -5 .5"],
    ["½ of 1½ cups ⅓ ⅔ m²", "1\\/2 of 1 1\\/2 cups 1\\/3 ⅔ m ²"],
    ["1/2, 1 1/2 and 3-1/2 on 1/2/2003 or 1-2-03", "1\\/2 1\u00A01\\/2 and 3-1\\/2 on 1\\/2\\/2003 or 1-2-03"],
    [
      "call 555-1234 or (555) 123-4567 or +49 555.123.4567",
      "call 555-1234 or -lrb-555-rrb-\u00A0123-4567 or +49 555.123.4567",
    ],
    // full stops
    ["Mr. and Mrs. Smith of St. Louis, Jr., etc.", "mr. and mrs. smith of st. louis jr. etc."],
    ["at 5 p.m. in the U.S.", "at 5 p.m. in the u.s."],
    ["at 5 p.m in the U.S.A", "at 5 p.m in the u.s.a"],
    ["J. runs on plan b.", "j. runs on plan b."],
    ["Sgt. Pepper, Mt. Fuji, 5th Ave. and Main Rd., Jan. 5.", "sgt. pepper mt. fuji 5th ave. and main rd. jan. 5"],
    ["Ph.D. Ed.D. Wash. Ill. ILL. Mass. Miss. Ore. Ark.", "ph.d. ed.d. wash. ill. ill. mass. miss. ore. ark."],
    ["wash. ill. mass. miss. ore. ark.", "wash ill mass miss ore ark"],
    ["dog.The dogs., and cats.; x.y", "dog the dogs. and cats. x.y"],
    // apostrophes
    ["It isn't; he can't, they DON'T, don't-walk don'ts", "it is n't he ca n't they do n't do n't walk do n'ts"],
    [
      "I'm sure we've seen she'll say they're what he'd say",
      "i 'm sure we 've seen she 'll say they 're what he 'd say",
    ],
    ["The girl’s bike by the boys' school", "the girl 's bike by the boys school"],
    ["a girl 's bike does n't move", "a girl 's bike does n't move"],
    ["it'sup kid'play 'now' 'x", "it sup kid play now x"],
    ["five o'clock in O'Hare, ma'am, o’clock", "five o'clock in o'hare ma'am o’clock"],
    ["rock 'n' roll of the '90s, '99 get 'em 'til ol' 'cause", "rock 'n' roll of the '90s '99 get 'em 'til ol' 'cause"],
    ["y'all y' l'eau d'Avignon j'ai c'est c'mon", "y' all y l'eau d'avignon j' ai c'est c'mon"],
    ["He Cannot see, cannots", "he can not see cannots"],
    ["gonna Wanna gotta lemme gimme gonnas dunno", "gon na wan na got ta lem me gim me gonnas dunno"],
    // signs
    ["a $5 bill, US$5, 50% off, #1 & #2 ##", "a $ 5 bill us$ 5 50 % off # 1 & # 2 ##"],
    ["€5, ¥6, £7, 8¢", "$ 5 ¥ 6 # 7 8 cents"],
    ["R&amp;B, AT&T's M&Ms & r&b C+A AT&amp;T", "r&b at&t 's m&m s & r & b c+a at&t"],
    ["#fun at #1, a #sunny_day @home_2 @ 2", "#fun at # 1 a #sunny _ day @home_2 @ 2"],
    ["a street (red) [big] {old} <x", "a street -lrb- red -rrb- -lrb- big -rrb- -lcb- old -rcb- -lrb- x"],
    ["RIF=ding a+b 2+2 a=b << ~ ^ | \\", "rif = ding a + b 2 +2 a = b << ~ ^ | \\"],
    [
      "black/white black/ white a/b/c and-or/not / 24-hour/day",
      "black\\/white black \\/ white a\\/b\\/c and-or\\/not \\/ 24-hour\\/day",
    ],
    ["*dog* a*b ** \\*", "\\* dog \\* a \\* b \\*\\* \\*"],
    // entities and tags
    [
      "&quot;hi&quot; it&apos;s &lt;a&gt; a&nbsp;b &mdash; &#39; caf&eacute;",
      "hi it 's -lrb- a -rrb- a b &#39; caf&eacute;",
    ],
    ["a <b>bold</b> <a href=x> dog", "a <b> bold </b> <a\u00A0href=x> dog"],
    // addresses
    [
      "see http://example.org/a*b, www.example.com.au or shop.net/xy.",
      "see http:\\/\\/example.org\\/a\\*b www.example.com.au or shop.net\\/xy",
    ],
    ["me@example.org. example.info", "me@example.org example info"],
    // spaces and scripts
    ["  two\ndogs\t\u00A0run\u200B \u0000 so\u00ADft \u00AD", "two dogs run soft"],
    ["一只狗。两只猫、", "一只狗 。 两只猫 、"],
    ["Ein Hündchen E\u0301te", "ein hündchen e\u0301te"],
    // what no rule knows is left out
    ["20° ❤️fun 😀 dog👍cat a\u200Db 「x」", "20 ° ❤ fun dog cat a b x"],
  ])("%j", (text, tokens) => {
    expect(ptbTokenize(text)).toBe(tokens);
  });

  it.each(["", " ", "\n", ".", "...", "' \" -", "?", "! ;:,", "''''", "-'."])("%j: nothing", (text) => {
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
        if (DROPPED.has(token) || /[ \n]/.test(token))
          throw new Error(`${JSON.stringify(text)}: ${JSON.stringify(tokens)}`);
      }
    }
    expect(count).toBeGreaterThan(2000);
  });

  /**
   * What takes quadratic time needs minutes for 100,000 characters, and what is linear a quarter of a second. Time of this
   * process's own work is taken, so that others on the machine do not count.
   */
  it.each([
    "a",
    "'",
    ".",
    "-",
    "a,",
    "ab,",
    "a.",
    "a-",
    "a_",
    "a/",
    "a'",
    "n't",
    "A&",
    "#a",
    "a@",
    "a@.",
    "<a",
    "&a",
    "&#1",
    "1,",
    "1 1/",
    "555-",
    "www.a.",
    "http://.",
    "ab.",
    "é%.",
    "\u00AD",
    "\u0301",
    "👍\u200D",
    "\uD83D",
    " ",
  ])("100,000 characters of %j end in time", (piece) => {
    const run = piece.repeat(100_000 / piece.length);
    const before = process.cpuUsage();
    for (const text of [`'${run}x`, `x${run}.`]) ptbTokenize(text);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(2);
  });
});
