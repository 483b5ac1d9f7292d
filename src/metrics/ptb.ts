/** Text to Penn Treebank tokens as coco-caption makes them: CoreNLP's tokeniser, lower case, without punctuation. */
import { americanize } from "./americanize.js";
import { BLANK, RULES } from "./ptb-rules.js";

/** coco-caption's list. The brackets are in capitals there, but tokens in lower case: "(" stays as "-lrb-". */
const DROPPED: ReadonlySet<string> = new Set([
  "''",
  "'",
  "``",
  "`",
  "-LRB-",
  "-RRB-",
  "-LCB-",
  "-RCB-",
  ".",
  "?",
  "!",
  ",",
  ":",
  "-",
  "--",
  "...",
  ";",
]);

/**
 * Longest text that the rules see at once. Several of them look ahead to the end of a run without spaces, so a text of
 * 100,000 hostile characters would take minutes; no sentence has 512 characters without a space.
 */
const MAX_PIECE = 512;
/** Pieces end before a space, or where there is none, anywhere. */
const PIECES = new RegExp(`[^]{1,${MAX_PIECE}}(?!\\S)|[^]{1,${MAX_PIECE}}`, "g");

/** Nearly all words of captions: ASCII letters before a space. The general rules give the same, sixty times slower. */
const PLAIN_WORD = /([A-Za-z]+)[ \n]/y;

/**
 * Tokens of a caption, joined by single spaces; "" for a caption of spaces and punctuation alone.
 *
 * Case is lowered after spelling and escaping, so "grey" becomes "gray" but "Grey" stays "grey". "/" and "*" come out as
 * "\/" and "\*", brackets as "-lrb-" and "-rrb-", which count as words. Characters beyond U+FFFF (emoji) are dropped, as
 * by the original. A run of more than 512 characters without a space is cut.
 */
export function ptbTokenize(text: string): string {
  const tokens: string[] = [];
  // U+FFFF stands for what the original drops: it parts words as an emoji does, and no rule knows it.
  const plane0 = text.replace(/[\u{10000}-\u{10FFFF}]/gu, "\uFFFF");
  for (const piece of plane0.match(PIECES) ?? []) {
    for (const token of rawTokens(`${piece}\n`)) {
      const lower = token.toLowerCase();
      if (lower !== "" && !DROPPED.has(lower)) tokens.push(lower);
    }
  }
  return tokens.join(" ");
}

/** @param text ends with a line feed, which rules may ask for */
function* rawTokens(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    const blank = matchAt(BLANK, text, at);
    if (blank) {
      at += blank[0].length;
      continue;
    }
    const plain = matchAt(PLAIN_WORD, text, at)?.[1];
    if (plain !== undefined && plain.toLowerCase() !== "cannot") {
      yield americanize(plain);
      at += plain.length;
      continue;
    }
    const { token, written } = furthest(text, at);
    yield written;
    at += token;
  }
}

/** The token at a place: how many characters it takes, and how it is written. */
function furthest(text: string, at: number): { readonly token: number; readonly written: string } {
  let reach = 0;
  let best = { token: 1, written: "" };
  for (const { pattern, write } of RULES) {
    const match = matchAt(pattern, text, at);
    if (!match || match[0].length <= reach) continue;
    reach = match[0].length;
    best = { token: match[1]!.length, written: write(match[1]!) };
  }
  return best;
}

function matchAt(sticky: RegExp, text: string, at: number): RegExpExecArray | null {
  sticky.lastIndex = at;
  return sticky.exec(text);
}
