import { americanize } from "./americanize.js";

/** Signs that are tokens of their own under another name. */
const RENAMED: Readonly<Record<string, string>> = {
  "(": "-lrb-",
  ")": "-rrb-",
  "[": "-lsb-",
  "]": "-rsb-",
  "{": "-lcb-",
  "}": "-rcb-",
  "£": "#",
  "€": "$",
  "¥": "$",
  "¢": "cents",
};

/** Tokens wherever they stand: brackets, $ % # &, and signs outside ASCII with what modifies them. */
const SIGN = /[()[\]{}$%#&]|(?!\p{ASCII})[\p{P}\p{S}]\p{M}*/gu;

/** An apostrophe in front that is no quotation mark: 's and the like standing alone, 'em, rock 'n roll, the '90s. */
const ELIDED = /^'(?:s|re|ve|ll|d|m|em|n|\d0s)(?!\p{L})/iu;

/** Ends that stay: full stops of initials (a.m., U.S., J.) and of the abbreviations that captions have, rock 'n' roll. */
const WITH_END = /^(?:(?:\p{L}\.)+|(?:mr|mrs|ms|dr|st|jr|sr|vs|etc)\.|'n')$/iu;

const CONTRACTION = /(?:n't|'(?:s|re|ve|ll|d|m))$/i;

/**
 * Penn Treebank tokens of a caption as coco-caption scores them: American spelling, lower case, without punctuation, joined
 * by single spaces. The empty text when nothing else is left.
 *
 * What coco-caption drops after tokenisation (quotes . ? ! , : ; dashes and the ellipsis) becomes a space at once. $ % # & and
 * brackets are tokens; brackets stay, as -lrb- and so on, for coco-caption drops only the upper-case names. A full stop
 * stays inside a word and behind an abbreviation; a comma or colon stays between digits. Hyphenated words stay whole.
 * Contractions and possessives are cut: is n't, girl 's, can not. / and * are escaped. Line breaks are spaces.
 *
 * Addresses, emoticons, "gonna" and French elisions have no rules of their own. Takes time linear in the text.
 */
export function ptbTokenize(text: string): string {
  return separate(text)
    .split(/\s+/)
    .flatMap(splitWord)
    .filter((token) => /[^-.']/.test(token))
    .map((token) => americanize(token).toLowerCase().replace(/[/*]/g, "\\$&"))
    .join(" ");
}

/** Spaces around what is a token wherever it stands, and in place of what is dropped. */
function separate(text: string): string {
  return text
    .replace(/[\p{Cc}\u200B]/gu, " ")
    .replace(/&amp;/gi, "&")
    .replace(/[‘’‚‛`´]/g, "'")
    .replace(/[‐‑]/g, "-")
    .replace(/(?<=\d)[¼-¾⅐-⅞]/g, " $&")
    .replace(/[¼-¾⅐-⅞]/g, fraction)
    .replace(/["“”„‟«»;!?…‒–—―]|''+|--+|\.\.+/g, " ")
    .replace(/(?<!\d)[,:]|[,:](?!\d)/g, " ")
    .replace(SIGN, (sign) => ` ${RENAMED[sign] ?? sign} `);
}

/** "1/2" of "½". */
function fraction(sign: string): string {
  return sign.normalize("NFKC").replace("\u2044", "/");
}

/** The tokens of a run without spaces; empty ones may be among them. */
function splitWord(word: string): string[] {
  const bare = unquote(word);
  if (/^cannot$/i.test(bare)) return [bare.slice(0, 3), bare.slice(3)];
  const cut = bare.search(CONTRACTION);
  return cut > 0 ? [bare.slice(0, cut), bare.slice(cut)] : [bare];
}

/** Without quotation marks around it and the full stop of a sentence behind it. */
function unquote(word: string): string {
  const start = word.startsWith("'") && !ELIDED.test(word) ? 1 : 0;
  let end = word.length;
  while (end > start && (word[end - 1] === "." || word[end - 1] === "'")) end--;
  return word.slice(start, WITH_END.test(word.slice(start, end + 1)) ? end + 1 : end);
}
