/** Shorter words stay as they are; so does "odour". */
const SHORTEST_OUR = 6;
const OUR = /^([a-z]+)our(s|ed|ing|er|ers|y|ful|fully|less|able|ite|ites|hood|hoods)?$/;
/** Stems whose "our" is American as well: poured, flours, glamour. */
const OUR_STAYS = /^(?:[dfhlpsty]|det|cont|outp|downp|sc|fl|dev|am|param|glam|vel|park|bonj|tamb|troubad|pompad)$/;
const RE =
  /^((?:amphi)?theat|(?:epi)?cent|(?:centi|kilo|milli)?met|lit|fib|sab|calib|lust|somb|spect|meag|mit)re([sd]?)$/;
/** Verbs on one l that double it in British spelling alone; not "controlled". */
const DOUBLE_L =
  /^((?:barr|canc|chann|chis|fu|jew|lab|lev|marv|mod|pan|parc|quarr|shov|snork|swiv|tow|trav|tunn|unrav)el|(?:di|equ|med|ped|sign|tot)al|(?:penc|stenc)il)l(ed|ing|er|ers|ist|ists)$/;
const WORDS: ReadonlyMap<string, string> = new Map([
  ["grey", "gray"],
  ["greys", "grays"],
  ["greyish", "grayish"],
  ["jewellery", "jewelry"],
  ["marvellous", "marvelous"],
  ["woollen", "woolen"],
]);

/**
 * A word in American spelling where it is British in one of these ways: colour, theatre, travelling, grey. Words that are not in
 * lower case throughout ("Grey") and compounds with a hyphen stay, as other kinds of words do ("tyre", "organise").
 */
export function americanize(word: string): string {
  const known = WORDS.get(word);
  if (known !== undefined) return known;
  const our = word.length >= SHORTEST_OUR ? OUR.exec(word) : null;
  if (our && !OUR_STAYS.test(our[1]!)) return `${our[1]}or${our[2] ?? ""}`;
  const re = RE.exec(word);
  if (re) return `${re[1]}er${re[2] === "d" ? "ed" : re[2]}`;
  return word.replace(DOUBLE_L, "$1$2");
}
