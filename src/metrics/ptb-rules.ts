/**
 * The tokens of Penn Treebank text as CoreNLP's tokeniser of 2013-2014 knows them, which coco-caption calls. At each place
 * the rule that reaches furthest, what must follow included, wins; of equals the first.
 */
import { americanize } from "./americanize.js";

export interface Rule {
  /** Group 1 is the token; what else it matches must follow the token, and is read again afterwards. */
  readonly pattern: RegExp;
  /** What is written for the token; "" drops it. */
  readonly write: (token: string) => string;
}

/** A pattern of lower-case letters that fits every case; elsewhere case counts, in classes above all. */
const any = (text: string) => text.replace(/[a-z]/g, (c) => `[${c}${c.toUpperCase()}]`);

const SPACE_OR_END = "[ \\t\\u00A0\\u2000-\\u200A\\u3000\\n\\r\\v\\f\\u0085\\u2028\\u2029]";
/** Combining marks count up to Lao (U+0ECD), as there; scripts beyond lose them. */
const LETTER =
  "(?:\\p{L}|&[aeiouAEIOU](?:acute|grave|uml);|[\\u00AD\\u02C2-\\u02C5\\u02D2-\\u02DF\\u02E5-\\u02FF\\u0384\\u0385\\u055A-\\u055F]|(?=[\\u0300-\\u0ECD])\\p{M})";
const WORD = `${LETTER}+`;
const DIGIT = "[\\p{Nd}\\u07C0-\\u07C9]";
const ALNUM = "[\\p{L}\\p{Nd}]";
const APOSTROPHE = "(?:['\\u0092\\u2019]|&apos;)";
const ANY_APOSTROPHE = "(?:['\\u0091\\u0092\\u2018\\u2019\\u201B]|&apos;)";
/** 's 'm 'd 're 've 'll */
const CONTRACTION = `${APOSTROPHE}(?:[msdMSD]|${any("re")}|${any("ve")}|${any("ll")})`;
const NOT = `[nN]${ANY_APOSTROPHE}[tT]`;
const ACRONYM = `[A-Za-z](?:\\.[A-Za-z])+|(?:${["Canada", "Sino", "Korean", "EU", "Japan", "non"].join("|")})-U\\.S|U\\.S\\.-U\\.(?:K|S\\.S\\.R)`;
const BEFORE_STOP = "[,;:\\u3001]";
const FRACTION_SLASH = "(?:\\\\?/|\\u2044)";
const D_OR_L = `(?:[dDoOlL]${ANY_APOSTROPHE}${ALNUM})?`;
const HYPHENATED = `[A-Za-z0-9][A-Za-z0-9.,\\u00AD]*(?:-(?:(?:${ACRONYM})\\.|[A-Za-z0-9\\u00AD]+))+`;
const THING = `${D_OR_L}${ALNUM}+(?:[-_\\u058A\\u2010\\u2011]${D_OR_L}${ALNUM}+)*`;
const CAPITALS = "[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+";
const WITH_SLASH_PART = "[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}";

/** Keep their full stop, whatever their case. */
const ABBREVIATIONS = any(
  [
    "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|thurs|fri",
    "ala|ariz|calif|colo|conn|dak|del|fla|ga|ind|kans?|ky|la|md|mich|minn|mo|mont|neb|nev|okla|pa|penn|tenn|tex|va|vt|wisc?|wyo",
    "mrs?|ms|drs?|profs?|sens?|reps?|attys?|lt|col|gen|messrs|govs?|adm|rev|maj|sgt|cpl|pvt|mt|capt|ste?|ave|pres|lieut",
    "hon|brig|co?mdr|pfc|spc|supts?|det|jr|sr|bros|(?:ed|ph)\\.d|blvd|rd|esq",
    "inc|cos?|corp|pp?tys?|ltd|plc|bancorp|dept|bhd|assn|univ|intl|sys|invt|elec|natl|nos?|prop|ph|tel|est|ext|sq|ft",
    "etc|al|seq|vs|alex|wm|jos|cie|cf|treas",
  ].join("|"),
);
/** Common words when they are not capitalised. */
const CAPITALISED_ABBREVIATIONS = "Ark|Ill|Mass|Miss|Ore|Wash|M[ft]g";

const APOSTROPHE_WORDS = [
  `${APOSTROPHE}[nN]${APOSTROPHE}?`,
  `[lLdDjJ]${APOSTROPHE}`,
  `(?:${any("dunkin")}|${any("somethin")}|${any("ol")})${APOSTROPHE}`,
  `${APOSTROPHE}(?:${any("em")}|[2-9]0[sS]|${any("till")}|${any("til")}|${any("cause")})`,
  `[A-HJ-XZn]${ANY_APOSTROPHE}\\p{L}{2,}`,
  `\\p{L}+[aeiouyAEIOUY]${ANY_APOSTROPHE}[aeiouA-Z]\\p{L}*`,
  any("cont'd\\.?|'twas|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l"),
].join("|");

const URL_END = '[^ \\t\\n\\f\\r"<>|.!?(){},-]';
const PATH = `/[^ \\t\\n\\f\\r"<>|()]+${URL_END}`;
/** The original's class excludes the range "," to "_" where it means the three characters, so hosts are in lower case. */
const HOST_PART = "[^ \\t\\n\\f\\r\"`'<>|.!?(){},-_$]+\\.";

const PHONE =
  "(?:\\([0-9]{2,3}\\)[ \\u00A0]?|(?:\\+\\+?)?(?:[0-9]{2,4}[- \\u00A0])?[0-9]{2,4}[- \\u00A0])[0-9]{3,4}[- \\u00A0]?[0-9]{3,5}|" +
  "(?:(?:\\+\\+?)?[0-9]{2,4}\\.)?[0-9]{2,4}\\.[0-9]{3,4}\\.[0-9]{3,5}";

/** Symbols and punctuation that no other rule knows. East Asian brackets and small forms are dropped. */
const SYMBOL = "(?![\\u3003-\\u3011\\u3013-\\u30FA\\uFE10-\\uFE6F])[\\p{S}\\p{P}\\p{No}]";

const as = (written: string) => () => written;
const unchanged = (token: string) => token;
/** Soft hyphens go; a token of nothing else is a hyphen. */
const soft = (token: string) => token.replaceAll("\u00AD", "") || "-";
const spelt = (token: string) => americanize(soft(token));
const ampersand = (token: string) => token.replace(/&amp;/gi, "&");
const noBreak = (token: string) => token.replaceAll(" ", "\u00A0");
const escaped = (token: string) => token.replace(/(?<!\\)[/*]/g, "\\$&");

/** Quotes as Treebank writes them in ASCII: ` and ' for single, `` and '' for double ones. */
function latexQuotes(token: string): string {
  return token
    .replace(/&apos;/gi, "'")
    .replace(/[\u0091\u2018\u201B\u2039]/g, "`")
    .replace(/[\u0092\u2019\u203A]/g, "'")
    .replace(/[\u0093\u201C\u00AB]/g, "``")
    .replace(/[\u0094\u201D\u00BB]/g, "''");
}

const FRACTIONS: Readonly<Record<string, string>> = { "¼": "1\\/4", "½": "1\\/2", "¾": "3\\/4", "⅓": "1\\/3" };
const CURRENCIES: Readonly<Record<string, string>> = {
  "¢": "cents",
  "£": "#",
  "¤": "$",
  "\u20A0": "$",
  "€": "$",
  "\u0080": "$",
};

function rule(token: string, write: Rule["write"], followedBy = ""): Rule {
  return { pattern: new RegExp(`(${token})${followedBy}`, "uy"), write };
}

export const RULES: readonly Rule[] = [
  rule(any("can"), unchanged, any("not")),
  rule("</?[A-Za-z!?][^>\\r\\n]*>", noBreak),
  rule("&(?:MD|mdash|ndash);|[\\u0096\\u0097\\u2013-\\u2015]", as("--")),
  rule("&amp;", as("&")),
  rule("&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);", unchanged),
  rule(WORD, spelt, CONTRACTION),
  rule("[A-Za-z\\u00AD]*[A-MO-Za-mo-z]\\u00AD*", soft, NOT),
  rule(WORD, spelt),
  rule(APOSTROPHE_WORDS, unchanged),
  rule(`[yY]${APOSTROPHE}`, unchanged, "\\p{L}"),
  rule(`${any("http")}[sS]?://[^ \\t\\n\\f\\r"<>|()]+${URL_END}`, escaped),
  rule(
    `(?:${any("www")}\\.(?:[^ \\t\\n\\f\\r"<>|.!?(){},]+\\.)+[a-zA-Z]{2,4}|(?:${HOST_PART})+${any("(?:com|net|org|edu)")})(?:${PATH})?`,
    escaped,
  ),
  rule(
    '[a-zA-Z0-9][^ \\t\\n\\f\\r"<>|()\\u00A0]*@(?:[^ \\t\\n\\f\\r"<>|().\\u00A0]+\\.)*[^ \\t\\n\\f\\r"<>|().\\u00A0]+',
    unchanged,
  ),
  rule(`@[a-zA-Z_][a-zA-Z_0-9]*|#${WORD}`, unchanged),
  rule(CONTRACTION, latexQuotes, "[^A-Za-z]"),
  rule(NOT, latexQuotes),
  rule(`${DIGIT}{1,2}[-/]${DIGIT}{1,2}[-/]${DIGIT}{2,4}`, escaped),
  rule(`[-+]?(?:${DIGIT}*(?:[.:,\\u00AD\\u066B\\u066C]${DIGIT}+)+|${DIGIT}+)`, soft),
  rule(
    "[\\u207A\\u207B\\u208A\\u208B]?(?:[\\u2070\\u00B9\\u00B2\\u00B3\\u2074-\\u2079]+|[\\u2080-\\u2089]+)",
    unchanged,
  ),
  rule(`(?:${DIGIT}{1,4}[- \\u00A0])?${DIGIT}{1,4}${FRACTION_SLASH}${DIGIT}{1,4}`, (token) => noBreak(escaped(token))),
  rule("[\\u00BC-\\u00BE\\u2153-\\u215E]", (token) => FRACTIONS[token] ?? token),
  rule(any("-(?:l|r)(?:r|c|s)b-|pro-|anti-"), unchanged),
  rule(`${any("cap")}${APOSTROPHE}[nN]|[cC]${APOSTROPHE}${any("est")}`, unchanged),
  rule(`${WITH_SLASH_PART}(?:\\\\?/${WITH_SLASH_PART}){1,2}`, escaped),
  rule("[A-Z]*\\$|#", unchanged),
  rule(
    "[\\u00A2-\\u00A5\\u0080\\u20A0\\u20A4\\u20AC\\u060B\\u0E3F\\uFFE0\\uFFE1\\uFFE5\\uFFE6]",
    (token) => CURRENCIES[token] ?? token,
  ),
  rule(`(?:${ABBREVIATIONS}|${CAPITALISED_ABBREVIATIONS}|${ACRONYM}|[A-Za-z])\\.`, unchanged),
  rule(ACRONYM, unchanged, SPACE_OR_END),
  rule(`${APOSTROPHE}[0-9][0-9]`, unchanged, SPACE_OR_END),
  rule(`${WORD}\\.`, soft, BEFORE_STOP),
  rule(PHONE, (token) => noBreak(token).replaceAll("(", "-LRB-").replaceAll(")", "-RRB-")),
  rule('"|&quot;', as("''")),
  rule("[<[(]|&lt;", as("-LRB-")),
  rule("[>\\])]|&gt;", as("-RRB-")),
  rule("\\{", as("-LCB-")),
  rule("\\}", as("-RCB-")),
  rule("-+", (token) => (token.length === 3 || token.length === 4 ? "--" : token)),
  rule("\\.{3,5}|(?:\\.[ \\u00A0]){2,4}\\.|[\\u0085\\u2026]", as("...")),
  rule("@+|#+|_+", unchanged),
  rule("\\*+|(?:\\\\\\*){1,3}", escaped),
  rule("[?!]+|=|[,;:\\u3001]|[.¡¿\\u037E\\u0589\\u061F\\u06D4\\u0700-\\u0702\\u07FA\\u3002]", unchanged),
  rule("/", escaped),
  rule(`${HYPHENATED}\\.`, soft, BEFORE_STOP),
  rule(HYPHENATED, soft),
  rule(`(?:${THING})\\.`, unchanged, BEFORE_STOP),
  rule(THING, unchanged),
  rule(`${CAPITALS}\\.`, ampersand, BEFORE_STOP),
  rule(CAPITALS, ampersand),
  rule("'", as("`"), "[A-Za-z][^ \\t\\n\\r\\u00A0]"),
  rule(CONTRACTION, latexQuotes),
  rule(`''|${APOSTROPHE}|[\`\\u2018-\\u201F\\u0091-\\u0094\\u2039\\u203A\\u00AB\\u00BB]{1,2}`, latexQuotes),
  rule("<<|>>", unchanged),
  rule(SYMBOL, unchanged),
];

/** Not tokens: spaces, entities that stand for them. Everything else that no rule knows is dropped, too. */
export const BLANK = new RegExp(`(?:${SPACE_OR_END}|[\\0\\u200B\\u200E\\u200F\\uFEFF]|&nbsp;)+`, "uy");
