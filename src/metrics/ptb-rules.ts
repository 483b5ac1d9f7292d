/**
 * The rules by which Stanford CoreNLP's English lexer, as it was in 2013, cuts a text: what a token can look like, what has
 * to follow it, and how it is spelt. docs/metrics.md says what is known of the releases around.
 */
import { americanize } from "./americanize.js";

export interface Rule {
  /** Sticky. The whole match decides which rule applies; group 1 is the token where a context belongs to the match. */
  readonly pattern: RegExp;
  readonly spell: (token: string) => string;
}

/**
 * Characters that a rule may look ahead for what makes it apply: the "@" of an address, the end of a tag, a hyphen. Without
 * a limit a long text that never has one takes quadratic time; no caption has an address or tag of this length.
 */
const REACH = 250;

/** Java's letters and digits are those of 16 bits. */
const LETTER = "[^\\P{L}\\u{10000}-\\u{10FFFF}]";
const DIGIT = "[^\\P{Nd}\\u{10000}-\\u{10FFFF}]";
const LETTER_OR_DIGIT = `(?:${LETTER}|${DIGIT})`;
/** Letters, with their accents and with soft hyphens. */
const WORD = `(?:${LETTER}|[^\\P{M}\\u0ECE-\\u{10FFFF}]|\\u00AD|&[aeiouAEIOU](?:acute|grave|uml);)+`;

const APOSTROPHE = `(?:['\\u0092\\u2019]|&${anyCase("apos")};)`;
/** Also those that only stand inside a word. */
const INNER_APOSTROPHE = `(?:['\\u0091\\u0092\\u2018\\u2019\\u201B]|&${anyCase("apos")};)`;
const AUXILIARY = `${APOSTROPHE}(?:[msdMSD]|${anyCase("re|ve|ll")})`;
const NOT = `[nN]${INNER_APOSTROPHE}[tT]`;

const SPACE = " \\t\\u00A0\\u2000-\\u200A\\u3000";
const SPACE_OR_END = `[${SPACE}\\r\\n\\v\\f\\u0085\\u2028\\u2029]`;
const COMMA = "[,;:、]";

/** Groups of digits: 1,000, 10:30, .5. */
const NUMBER = `[+\\-]?(?:${DIGIT}+|[.:,\\u00AD]${DIGIT}+)(?:[.:,\\u00AD]${DIGIT}+)*`;
const SLASH = "(?:\\\\?\\/|\\u2044)";
/** Initials without their last full stop: p.m, U.S. */
const INITIALS = "[A-Za-z](?:\\.[A-Za-z])+";

const COMPOUND = `[A-Za-z0-9][A-Za-z0-9.,\\u00AD]{0,${REACH}}(?:-(?:${INITIALS}\\.|[A-Za-z0-9\\u00AD]+))+`;
const PART = `(?:[dDoOlL]${INNER_APOSTROPHE}${LETTER_OR_DIGIT})?${LETTER_OR_DIGIT}+`;
/** Words and numbers with hyphens or underscores between: o'clock, 5th, e_mail, Île-de-France. */
const THING = `${PART}(?:[\\-_\\u058A\\u2010\\u2011]${PART})*`;
const FIRMS = `[A-Z]+(?:(?:[+&]|&${anyCase("amp")};)[A-Z]+)+`;

/** Parts of a text with a slash between: black/white, 24-hour/day. */
const SLASHED_PART = "[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}";

const IN_PATH = '[^ \\t\\n\\f\\r"<>\\|\\(\\)]';
const PATH_END = '[^ \\t\\n\\f\\r"<>\\|.!?\\(\\)\\{\\},\\-]';
const PATH = `(?:\\/${IN_PATH}+${PATH_END})?`;
/** A name between the full stops of a host has at most 63 characters. */
const WWW_NAME = '[^ \\t\\n\\f\\r"<>\\|.!?\\(\\)\\{\\},]{1,63}\\.';
/** The original excludes everything from "," to "_": digits, capitals and hyphens, too. */
const BARE_NAME = "[^ \\t\\n\\f\\r\"`'<>\\|.!?\\(\\)\\{\\},-_$]{1,63}\\.";
const IN_MAIL = '[^ \\t\\n\\f\\r"<>\\|\\(\\)\\u00A0]';
const IN_DOMAIN = '[^ \\t\\n\\f\\r"<>\\|\\(\\).\\u00A0]';

/** Full stops stay behind these, in any case. */
const ABBREVIATIONS =
  "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri ala ariz calif colo conn dak del fla ga " +
  "ind kan kans ky la md mich minn mo mont neb nev okla pa penn tenn tex va vt wis wisc wyo inc co cos corp pty ptys ppty " +
  "pptys ltd plc bancorp dept bhd assn univ intl sys no nos prop ph tel est ext sq ft jr sr bros blvd rd esq etc al seq mr " +
  "mrs ms dr drs prof profs sen sens rep reps atty attys lt col gen messrs gov govs adm rev maj sgt cpl pvt mt capt st ste " +
  "ave pres lieut hon brig cmdr comdr pfc spc supt supts det vs alex wm jos cie cf treas invt elec natl mtg mfg";
/** Behind these only where the first letter is a capital: the words are common. */
const CAPITAL_ABBREVIATIONS = "Ark Ill Mass Miss Ore Wash".split(" ").map((word) => word[0] + anyCase(word.slice(1)));

/** An apostrophe inside or at the edge of these is no quotation mark. */
const WITH_APOSTROPHE = [
  `${APOSTROPHE}[nN]${APOSTROPHE}?`,
  `(?:[lLdDjJ]|${anyCase("dunkin|somethin|ol")})${APOSTROPHE}`,
  `${APOSTROPHE}(?:${anyCase("till|til|em|cause")}|[2-9]0[sS])`,
  `[A-HJ-XZn]${INNER_APOSTROPHE}${LETTER}{2,}`,
  `${LETTER}+[aeiouyAEIOUY]${INNER_APOSTROPHE}[aeiouA-Z]${LETTER}*`,
  `${anyCase("cont'd")}\\.?`,
  anyCase("'twas|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l"),
];

const CURRENCIES: Readonly<Record<string, string>> = {
  "¢": "cents",
  "£": "#",
  "¤": "$",
  "€": "$",
  "₠": "$",
  "\u0080": "$",
};
const FRACTIONS: Readonly<Record<string, string>> = { "¼": "1\\/4", "½": "1\\/2", "¾": "3\\/4", "⅓": "1\\/3" };

const withoutSoftHyphens = (token: string) => token.replaceAll("\u00AD", "") || "-";
const withoutSpaces = (token: string) => token.replaceAll(" ", "\u00A0");
const escaped = (token: string) => token.replace(/(?<!\\)[/*]/g, "\\$&");
const plainAmpersand = (token: string) => token.replace(/&amp;/gi, "&");
const asWritten = (token: string) => token;
const plainQuotes = (token: string) =>
  token
    .replace(/&apos;|[\u0092’›]/gi, "'")
    .replace(/[\u0091‘‛‹]/g, "`")
    .replace(/[\u0093“«]/g, "``")
    .replace(/[\u0094”»]/g, "''");

/** Where two match the same length, the first applies. Whatever none matches is left out. */
export const RULES: readonly Rule[] = [
  // words
  ruleBefore(anyCase("not"), anyCase("can")),
  ruleBefore(anyCase("na"), anyCase("gon|wan")),
  ruleBefore(anyCase("ta"), anyCase("got")),
  ruleBefore(anyCase("me"), anyCase("lem|gim")),
  rule(`<\\/?[A-Za-z!?][^>\\r\\n]{0,${REACH}}>`, withoutSpaces),
  rule(`&(?:${anyCase("md|mdash|ndash")});|[\\u0096\\u0097–—―]`, () => "--"),
  rule(`&${anyCase("amp")};`, () => "&"),
  rule(`&(?:${anyCase("ht|tl|ur|lr|qc|ql|qr|odq|cdq")}|#[0-9]+);`),
  ruleBefore(AUXILIARY, WORD, (token) => americanize(withoutSoftHyphens(token))),
  ruleBefore(NOT, "[A-Za-z\\u00AD]*[A-MO-Za-mo-z]\\u00AD*", withoutSoftHyphens),
  rule(WORD, (token) => americanize(withoutSoftHyphens(token))),
  ...WITH_APOSTROPHE.map((source) => rule(source)),
  ruleBefore(LETTER, `[yY]${APOSTROPHE}`),
  // addresses
  rule(`${anyCase("http")}[sS]?:\\/\\/${IN_PATH}+${PATH_END}`, escaped),
  rule(`${anyCase("www")}\\.(?:${WWW_NAME}){1,8}[a-zA-Z]{2,4}${PATH}`, escaped),
  rule(`(?:${BARE_NAME}){1,8}(?:${anyCase("com|net|org|edu")})${PATH}`, escaped),
  rule(`[a-zA-Z0-9]${IN_MAIL}{0,${REACH}}@(?:${IN_DOMAIN}+\\.)*${IN_DOMAIN}+`),
  rule(`@[a-zA-Z_][a-zA-Z_0-9]*|#${WORD}`),
  ruleBefore("[^A-Za-z]", AUXILIARY, plainQuotes),
  rule(NOT, plainQuotes),
  // numbers
  rule(`${DIGIT}{1,2}[\\-\\/]${DIGIT}{1,2}[\\-\\/]${DIGIT}{2,4}`, escaped),
  rule(NUMBER, withoutSoftHyphens),
  rule("[⁺⁻₊₋]?(?:[⁰¹²³⁴-⁹]+|[₀-₉]+)"),
  rule(`(?:${DIGIT}{1,4}[\\- \\u00A0])?${DIGIT}{1,4}${SLASH}${DIGIT}{1,4}`, (token) => withoutSpaces(escaped(token))),
  rule("[¼½¾⅓-⅞]", (token) => FRACTIONS[token] ?? token),
  // fixed forms
  rule(`-(?:${anyCase("rrb|lrb|rcb|lcb|rsb|lsb")})-|${anyCase("c\\.d\\.s|pro-|anti-")}`),
  rule(`${anyCase("s")}(?:&|&${anyCase("amp")};)${anyCase("p-500")}`, plainAmpersand),
  rule(`${anyCase("s")}(?:&|&${anyCase("amp")};)${anyCase("ls")}`, plainAmpersand),
  rule(`${anyCase("cap")}${APOSTROPHE}[nN]|[cC]${APOSTROPHE}${anyCase("est")}`),
  rule(`${SLASHED_PART}(?:\\\\?\\/${SLASHED_PART}){1,2}`, escaped),
  rule("[A-Z]*\\$|#"),
  rule("[¢-¥\\u0080₠€؋฿₤￠￡￥￦]", (token) => CURRENCIES[token] ?? token),
  // abbreviations
  rule(`(?:${anyCase(ABBREVIATIONS.replaceAll(" ", "|"))})\\.`),
  rule(`(?:${CAPITAL_ABBREVIATIONS.join("|")})\\.`),
  rule(`(?:${anyCase("ed|ph")})\\.[dD]\\.`),
  rule("(?:[A-Za-z]\\.)+"),
  ruleBefore(SPACE_OR_END, INITIALS),
  ruleBefore(SPACE_OR_END, `${APOSTROPHE}[0-9]{2}`),
  ruleBefore(COMMA, `${WORD}\\.`, withoutSoftHyphens),
  rule(
    "(?:\\([0-9]{2,3}\\)[ \\u00A0]?|\\+{0,2}(?:[0-9]{2,4}[\\- \\u00A0])?[0-9]{2,4}[\\- \\u00A0])[0-9]{3,4}[\\- \\u00A0]?[0-9]{3,5}",
    (token) => withoutSpaces(token).replace("(", "-LRB-").replace(")", "-RRB-"),
  ),
  rule("(?:\\+{0,2}[0-9]{2,4}\\.)?[0-9]{2,4}\\.[0-9]{3,4}\\.[0-9]{3,5}"),
  // signs
  rule(`"|&${anyCase("quot")};`, () => "''"),
  rule(`[<\\[\\(]|&${anyCase("lt")};`, () => "-LRB-"),
  rule(`[>\\]\\)]|&${anyCase("gt")};`, () => "-RRB-"),
  rule("\\{", () => "-LCB-"),
  rule("\\}", () => "-RCB-"),
  rule("-+", (token) => (token.length === 3 || token.length === 4 ? "--" : token)),
  rule("\\.{3,5}|(?:\\.[ \\u00A0]){2,4}\\.|[\\u0085…]", () => "..."),
  rule("@+|#+|_+"),
  rule("\\*+|(?:\\\\\\*){1,3}", escaped),
  rule("[,;:、]"),
  rule("[?!]+"),
  rule("[.¡¿\\u037E\\u0589\\u061F\\u06D4\\u0700-\\u0702\\u07FA。]"),
  rule("="),
  rule("\\/", escaped),
  // words with something inside
  ruleBefore(COMMA, `${COMPOUND}\\.`, withoutSoftHyphens),
  rule(COMPOUND, withoutSoftHyphens),
  ruleBefore(COMMA, `${THING}\\.`),
  rule(THING),
  ruleBefore(COMMA, `${FIRMS}\\.`, plainAmpersand),
  rule(FIRMS, plainAmpersand),
  // what is left of quotation marks and signs
  ruleBefore("[A-Za-z][^ \\t\\n\\r\\u00A0]", "'", () => "`"),
  rule(AUXILIARY, plainQuotes),
  rule(`''|[\`‘-‟\\u0091-\\u0094‹›«»]{1,2}|${APOSTROPHE}`, plainQuotes),
  rule("<<|>>"),
  rule(
    "[+%&~\\^\\|\\\\¦-©¬®-³´-º×÷‖‗†-‣‰-‸※‾-⁂⁄⁺-⁾₊-₎℀-⅏←-⯿〒・！-／：-＠［-｀｛-･᾽]|(?=[\\u0370-\\u0E4F])[\\p{P}\\p{S}]",
  ),
];

function rule(token: string, spell: Rule["spell"] = asWritten): Rule {
  return { pattern: new RegExp(token, "uy"), spell };
}

/** What follows the token counts in the length of the match, but stays in the text. */
function ruleBefore(context: string, token: string, spell: Rule["spell"] = asWritten): Rule {
  return rule(`(${token})${context}`, spell);
}

/** The letters of a pattern, in both cases. */
function anyCase(source: string): string {
  return source.replace(/[a-z]/gi, (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}]`);
}
