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

/** Tokens wherever they stand: AT&T, #hashtags, brackets, $ % # &, and signs outside ASCII with what modifies them. */
const SIGN = /(?<![\p{L}\p{N}])[A-Z]+(?:&[A-Z]+)+|#\p{L}[\p{L}\p{N}_]+|[()[\]{}$%#&]|(?!\p{ASCII})[\p{P}\p{S}]\p{M}*/gu;

/** An apostrophe in front that is no quotation mark: 's and the like standing alone, 'em, rock 'n roll, the '90s. */
const ELIDED = /^'(?:s|re|ve|ll|d|m|em|n|\d0s)(?!\p{L})/iu;

/** Abbreviations that keep their full stop: titles, places, firms, units, dates, American states. */
const ABBREVIATIONS =
  "mr mrs ms messrs dr drs prof profs jr sr esq rev hon pres gov govs sen sens rep reps atty attys supt supts det gen col maj " +
  "lt lieut capt sgt cpl pvt pfc spc adm brig cmdr comdr alex wm jos st ste ave blvd rd mt ft co cos inc corp ltd plc bancorp " +
  "bros cie bhd assn dept univ intl natl mfg mtg elec invt sys est ext tel sq ph vs etc al cf seq jan feb mar apr jun jul aug " +
  "sep sept oct nov dec mon tue tues wed thu thurs fri ala ariz calif colo conn dak fla ga ind kan kans ky md mich minn mo " +
  "mont neb nev okla penn tenn va vt wis wisc wyo";

/** Ends that stay: full stops of initials (a.m., U.S., J.) and of abbreviations, rock 'n' roll. */
const WITH_END = new RegExp(`^(?:(?:\\p{L}\\.)+|(?:${ABBREVIATIONS.replaceAll(" ", "|")})\\.|'n')$`, "iu");

const CONTRACTION = /(?:n't|'(?:s|re|ve|ll|d|m))$/i;

/**
 * Penn Treebank tokens of a caption as coco-caption scores them: American spelling, lower case, without punctuation, joined
 * by single spaces. The empty text when nothing else is left.
 *
 * What coco-caption drops after tokenisation (quotes . ? ! , : ; dashes and the ellipsis) becomes a space at once. $ % # & and
 * brackets are tokens, AT&T and #fun are one; brackets stay, as -lrb- and so on, for coco-caption drops only the upper-case
 * names. A full stop stays inside a word and behind an abbreviation; a comma or colon stays between digits. Hyphenated
 * words stay whole. Contractions and possessives are cut: is n't, girl 's, can not. / and * are escaped. Line breaks are spaces.
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
