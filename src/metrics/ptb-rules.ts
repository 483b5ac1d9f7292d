/**
 * The tokens of English text in the Penn Treebank's manner, as the grammar of CoreNLP's tokeniser had them in 2013 and 2014,
 * the years of the version that coco-caption calls. At each place the rule that reaches furthest wins, where what must
 * follow the token counts; of equals the first. Case counts wherever `any` does not say otherwise.
 */
import { americanize } from "./americanize.js";

export interface Rule {
  /** Group 1 is the token; what else it matches must follow the token, and is read again afterwards. */
  readonly pattern: RegExp;
  /** What is written for the token. */
  readonly write: (token: string) => string;
}

const re = String.raw;
/** A pattern in lower case that fits every case. */
const any = (text: string) => text.replace(/[a-z]/g, (c) => `[${c}${c.toUpperCase()}]`);

const BLANKS = re`[ \t\u00A0\u2000-\u200A\u3000\n\r\v\f\u0085\u2028\u2029]`;
/** Combining marks count up to Lao (U+0ECD), as there; scripts beyond lose them. */
const LETTER = re`(?:\p{L}|&[aeiouAEIOU](?:acute|grave|uml);|[\u00AD\u02C2-\u02C5\u02D2-\u02DF\u02E5-\u02FF\u0384\u0385\u055A-\u055F]|(?=[\u0300-\u0ECD])\p{M})`;
const WORD = `${LETTER}+`;
const DIGIT = re`[\p{Nd}\u07C0-\u07C9]`;
const ALNUM = re`[\p{L}\p{Nd}]`;
/** A word keeps its full stop before one of these: "sofa.," has the word "sofa.". */
const STOP_KEPT_BEFORE = re`[,;:\u3001]`;

const APOSTROPHE = re`(?:['\u0092\u2019]|&apos;)`;
const ANY_APOSTROPHE = re`(?:['\u0091\u0092\u2018\u2019\u201B]|&apos;)`;
const CONTRACTION = `${APOSTROPHE}(?:${any("m|s|d|re|ve|ll")})`;
const NOT = `[nN]${ANY_APOSTROPHE}[tT]`;
/** Words whose apostrophe parts nothing. */
const APOSTROPHE_WORDS = [
  `${APOSTROPHE}[nN]${APOSTROPHE}?`,
  `[lLdDjJ]${APOSTROPHE}`,
  `(?:${any("dunkin|somethin|ol")})${APOSTROPHE}`,
  `${APOSTROPHE}(?:${any("em|[2-9]0s|till?|cause")})`,
  re`[A-HJ-XZn]${ANY_APOSTROPHE}\p{L}{2,}`,
  re`\p{L}+[aeiouyAEIOUY]${ANY_APOSTROPHE}[aeiouA-Z]\p{L}*`,
  any(re`cont'd\.?|'twas|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l`),
  `${any("cap")}${APOSTROPHE}[nN]|[cC]${APOSTROPHE}${any("est")}`,
].join("|");

const ACRONYM = re`[A-Za-z](?:\.[A-Za-z])+|(?:Canada|Sino|Korean|EU|Japan|non)-U\.S|U\.S\.-U\.(?:K|S\.S\.R)`;
/** Keep their full stop in any case: "no." is the abbreviation of number even at the end of a sentence. */
const ABBREVIATIONS = any(
  [
    "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs|fri",
    "ala|ariz|calif|colo|conn|dak|del|fla|ga|ind|kans?|ky|la|md|mich|minn|mo|mont|neb|nev|okla|pa|penn|tenn|tex|va|vt|wisc?|wyo",
    "mrs?|ms|drs?|profs?|sens?|reps?|attys?|lt|col|gen|messrs|govs?|adm|rev|maj|sgt|cpl|pvt|mt|capt|ste?|ave|pres|lieut",
    re`hon|brig|co?mdr|pfc|spc|supts?|det|jr|sr|bros|(?:ed|ph)\.d|blvd|rd|esq`,
    "inc|cos?|corp|pp?tys?|ltd|plc|bancorp|dept|bhd|assn|univ|intl|sys|invt|elec|natl|nos?|prop|ph|tel|est|ext|sq|ft",
    "etc|al|seq|vs|alex|wm|jos|cie|cf|treas",
  ].join("|"),
);
/** In lower case these are common words. */
const CAPITALISED_ABBREVIATIONS = "Ark|Ill|Mass|Miss|Ore|Wash|M[ft]g";

const HYPHENATED = re`[A-Za-z0-9][A-Za-z0-9.,\u00AD]*(?:-(?:(?:${ACRONYM})\.|[A-Za-z0-9\u00AD]+))+`;
/** French names, d'Avignon. */
const D_OR_L = `(?:[dDoOlL]${ANY_APOSTROPHE}${ALNUM})?`;
const COMPOUND = re`${D_OR_L}${ALNUM}+(?:[-_\u058A\u2010\u2011]${D_OR_L}${ALNUM}+)*`;
const CAPITALS = "[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+";
const SLASHED = "[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}";

const URL_START = re`[^ \t\n\f\r"<>|()]+`;
const URL_END = re`[^ \t\n\f\r"<>|.!?(){},-]`;
/** The class excludes everything from "," to "_", as there, where three characters are meant: hosts are in lower case. */
const HOST_PART = re`[^ \t\n\f\r"\x60'<>|.!?(){},-_$]+\.`;
const WWW = re`${any("www")}\.(?:[^ \t\n\f\r"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}`;
const MAIL_PART = re`[^ \t\n\f\r"<>|().\u00A0]+`;
/** (555) 123-4567, 555-123-4567, 555.123.4567 */
const AREA_CODE = re`\([0-9]{2,3}\)[ \u00A0]?|\+{0,2}(?:[0-9]{2,4}[- \u00A0]){1,2}`;
const PHONE = re`(?:${AREA_CODE})[0-9]{3,4}[- \u00A0]?[0-9]{3,5}|(?:\+{0,2}[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}`;

const unchanged = (token: string) => token;
const as = (written: string) => () => written;
/** Soft hyphens go; a token of nothing else is a hyphen. */
const soft = (token: string) => token.replaceAll("\u00AD", "") || "-";
const spelt = (token: string) => americanize(soft(token));
const ampersand = (token: string) => token.replaceAll("&amp;", "&");
/** A space inside a token is one that parts nothing. */
const unspaced = (token: string) => token.replaceAll(" ", "\u00A0");
/** Treebank writes \/ and \*, since both mean something in its files. */
const escaped = (token: string) => token.replace(/(?<!\\)[/*]/g, "\\$&");

/** Quotes in ASCII: ` and ' for single, `` and '' for double ones. */
function latexQuotes(token: string): string {
  return token
    .replaceAll("&apos;", "'")
    .replace(/[\u0091\u2018\u201B\u2039]/g, "`")
    .replace(/[\u0092\u2019\u203A]/g, "'")
    .replace(/[\u0093\u201C\u00AB]/g, "``")
    .replace(/[\u0094\u201D\u00BB]/g, "''");
}

/** Signs that have a form in ASCII. Treebank wrote pounds as "#". */
const ASCII: ReadonlyMap<string, string> = new Map([
  ["¼", re`1\/4`],
  ["½", re`1\/2`],
  ["¾", re`3\/4`],
  ["⅓", re`1\/3`],
  ["¢", "cents"],
  ["£", "#"],
  ["¤", "$"],
  ["₠", "$"],
  ["€", "$"],
  ["\u0080", "$"],
]);
const inAscii = (sign: string) => ASCII.get(sign) ?? sign;

function rule(token: string, write: Rule["write"], followedBy = ""): Rule {
  return { pattern: new RegExp(`(${token})${followedBy}`, "uy"), write };
}

export const RULES: readonly Rule[] = [
  rule(any("can"), unchanged, any("not")),
  rule(re`</?[A-Za-z!?][^>\r\n]*>`, unspaced), // tags, "<unk>"
  rule(re`&(?:MD|mdash|ndash);|[\u0096\u0097\u2013-\u2015]`, as("--")),
  rule("&amp;", as("&")),
  rule("&#[0-9]+;", unchanged),

  // words, and what apostrophes part from them
  rule(WORD, spelt, CONTRACTION),
  rule(re`[A-Za-z\u00AD]*[A-MO-Za-mo-z]\u00AD*`, soft, NOT),
  rule(WORD, spelt),
  rule(APOSTROPHE_WORDS, unchanged),
  rule(`[yY]${APOSTROPHE}`, unchanged, re`\p{L}`), // y'all

  rule(`${any("https?")}://${URL_START}${URL_END}`, escaped),
  rule(`(?:${WWW}|(?:${HOST_PART})+(?:${any("com|net|org|edu")}))(?:/${URL_START}${URL_END})?`, escaped),
  rule(re`[a-zA-Z0-9][^ \t\n\f\r"<>|()\u00A0]*@(?:${MAIL_PART}\.)*${MAIL_PART}`, unchanged),
  rule(`@[a-zA-Z_][a-zA-Z_0-9]*|#${WORD}`, unchanged),

  rule(CONTRACTION, latexQuotes, "[^A-Za-z]"),
  rule(NOT, latexQuotes),

  // numbers and signs of money
  rule(`${DIGIT}{1,2}[-/]${DIGIT}{1,2}[-/]${DIGIT}{2,4}`, escaped),
  rule(re`[-+]?(?:${DIGIT}*(?:[.:,\u00AD\u066B\u066C]${DIGIT}+)+|${DIGIT}+)`, soft),
  rule(re`[\u207A\u207B\u208A\u208B]?(?:[\u2070\u00B9\u00B2\u00B3\u2074-\u2079]+|[\u2080-\u2089]+)`, unchanged),
  rule(re`(?:${DIGIT}{1,4}[- \u00A0])?${DIGIT}{1,4}(?:\\?/|\u2044)${DIGIT}{1,4}`, (token) => unspaced(escaped(token))),
  rule(re`[\u00BC-\u00BE\u2153-\u215E]`, inAscii),
  rule(re`[A-Z]*\$|#`, unchanged),
  rule(re`[\u00A2-\u00A5\u0080\u20A0\u20A4\u20AC\u060B\u0E3F\uFFE0\uFFE1\uFFE5\uFFE6]`, inAscii),

  rule(any("-(?:l|r)(?:r|c|s)b-|pro-|anti-"), unchanged),
  rule(re`${SLASHED}(?:\\?/${SLASHED}){1,2}`, escaped), // and/or

  // full stops that are part of a token
  rule(re`(?:${ABBREVIATIONS}|${CAPITALISED_ABBREVIATIONS}|${ACRONYM}|[A-Za-z])\.`, unchanged),
  rule(ACRONYM, unchanged, BLANKS),
  rule(`${APOSTROPHE}[0-9][0-9]`, unchanged, BLANKS), // '90
  rule(re`${WORD}\.`, soft, STOP_KEPT_BEFORE),
  rule(PHONE, (token) => unspaced(token).replaceAll("(", "-LRB-").replaceAll(")", "-RRB-")),

  // punctuation
  rule('"|&quot;', as("''")),
  rule(re`[<[(]|&lt;`, as("-LRB-")),
  rule(re`[>\])]|&gt;`, as("-RRB-")),
  rule(re`\{`, as("-LCB-")),
  rule(re`\}`, as("-RCB-")),
  rule("-+", (token) => (token.length === 3 || token.length === 4 ? "--" : token)),
  rule(re`\.{3,5}|(?:\.[ \u00A0]){2,4}\.|[\u0085\u2026]`, as("...")),
  rule(re`@+|#+|_+`, unchanged),
  rule(re`\*+|(?:\\\*){1,3}|/`, escaped),
  rule(re`[?!]+|[=,;:\u3001]|[.¡¿\u037E\u0589\u061F\u06D4\u0700-\u0702\u07FA\u3002]`, unchanged),

  // compounds, which a word alone would be shorter than
  rule(re`${HYPHENATED}\.`, soft, STOP_KEPT_BEFORE),
  rule(HYPHENATED, soft),
  rule(re`${COMPOUND}\.`, unchanged, STOP_KEPT_BEFORE),
  rule(COMPOUND, unchanged),
  rule(re`${CAPITALS}\.`, ampersand, STOP_KEPT_BEFORE),
  rule(CAPITALS, ampersand), // A&W

  // quotes, and symbols of which no other rule knows; East Asian brackets and small forms are dropped
  rule("'", as("`"), re`[A-Za-z][^ \t\n\r\u00A0]`),
  rule(CONTRACTION, latexQuotes),
  rule(re`''|${APOSTROPHE}|[\x60\u2018-\u201F\u0091-\u0094\u2039\u203A\u00AB\u00BB]{1,2}`, latexQuotes),
  rule("<<|>>", unchanged),
  rule(re`(?![\u3003-\u3011\u3013-\u30FA\uFE10-\uFE6F])[\p{S}\p{P}\p{No}]`, unchanged),
];

/** What parts tokens and is none. Every other character that no rule knows is dropped, too. */
export const BLANK = new RegExp(re`(?:${BLANKS}|[\0\u200B\u200E\u200F\uFEFF]|&nbsp;)+`, "uy");
