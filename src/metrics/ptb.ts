import { RULES } from "./ptb-rules.js";

/** What coco-caption leaves out after tokenisation. Brackets stay: it names them in capitals, and the tokens are lower case. */
const DROPPED: ReadonlySet<string> = new Set(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"]);

/** What is between tokens; sticky. */
const BETWEEN = /[\s\0\x85\u200B\u200E\u200F]+|&nbsp;/iy;

/**
 * Penn Treebank tokens of a caption as coco-caption scores them: American spelling, lower case, without punctuation, joined
 * by single spaces. The empty text when nothing else is left.
 *
 * A lexer: of the rules that match at a place the one with the longest match gives the token. "$", "%", "#" and brackets
 * (as -lrb- and so on) are tokens, and so are "!!" and "&"; a full stop stays inside a number and behind an abbreviation.
 * Hyphenated words stay whole. Contractions and possessives are cut: is n't, girl 's, can not. / and * are escaped. Line
 * breaks are spaces; what no rule knows, such as emoji, is left out. A token can have U+00A0 inside: 1 1/2 is one.
 *
 * Takes time linear in the text.
 */
export function ptbTokenize(text: string): string {
  const tokens: string[] = [];
  const line = `${text.replaceAll("\n", " ")}\n`; // some rules ask for what follows, which at the end is a line's
  let at = 0;
  while (at < line.length) {
    const { end, token } = next(line, at);
    at = end;
    if (token !== "" && !DROPPED.has(token)) tokens.push(token);
  }
  return tokens.join(" ");
}

/** The token from `at` on and where it ends; an empty one for what is between tokens. */
function next(text: string, at: number): { readonly end: number; readonly token: string } {
  const between = matchAt(BETWEEN, text, at);
  if (between) return { end: at + between[0].length, token: "" };
  let best: { readonly length: number; readonly source: string; readonly spell: (token: string) => string } | undefined;
  for (const { pattern, spell } of RULES) {
    const match = matchAt(pattern, text, at);
    if (!match || match[0].length <= (best?.length ?? 0)) continue;
    best = { length: match[0].length, source: match[1] ?? match[0], spell };
  }
  if (!best) return { end: at + (text.codePointAt(at)! > 0xffff ? 2 : 1), token: "" };
  return { end: at + best.source.length, token: best.spell(best.source).toLowerCase() };
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
