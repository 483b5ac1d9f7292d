/** What happens to a caption before it is trained on; each step can be switched off. */
export interface NormaliseOptions {
  /** Runs of white space, line ends included, become one space; none at the ends. Default true. */
  readonly spaces?: boolean;
  /** No space before . , ; : ! ? and before 's, n't and their like. Default true. */
  readonly punctuation?: boolean;
  /** Everything in lower case, before `capital`. Default false. */
  readonly lowercase?: boolean;
  /** The first letter is a capital, where the caption begins with one. Default true. */
  readonly capital?: boolean;
  /**
   * The caption ends in exactly one ".", behind closing quotes and brackets; it takes the place of whatever other
   * punctuation was there. Decoders stop at ".": a caption without it teaches no end. Default true.
   */
  readonly period?: boolean;
}

/** Captions as the data has them, which is how the original trained on COCO. */
export const AS_WRITTEN: NormaliseOptions = { spaces: false, punctuation: false, capital: false, period: false };

const BEFORE_PUNCTUATION = /\s(?=[.,;:!?])/g;
const BEFORE_CONTRACTION = /\s(?=(?:'(?:s|t|m|d|ll|re|ve)|n't)(?![\p{L}\p{N}']))/giu;
/** What the final period replaces, and what it stands behind. */
const END_MARKS = new Set(" \t\n\r\f\v\u00a0.,;:!?…");
const CLOSERS = new Set("\"'”’»)]}");

/**
 * A caption as `options` want it, "" where nothing is left. With `spaces` on, doing it twice changes nothing. The default
 * follows the recipe of the shipped model.
 */
export function normaliseCaption(text: string, options: NormaliseOptions = {}): string {
  const { spaces = true, punctuation = true, lowercase = false, capital = true, period = true } = options;
  let caption = text;
  if (spaces) caption = caption.replace(/\s+/g, " ").trim();
  if (punctuation) caption = caption.replace(BEFORE_PUNCTUATION, "").replace(BEFORE_CONTRACTION, "");
  if (lowercase) caption = caption.toLowerCase();
  if (period) caption = withPeriod(caption);
  if (capital) caption = withCapital(caption);
  return caption;
}

function withPeriod(caption: string): string {
  let end = caption.length;
  let closers = "";
  for (; end > 0; end--) {
    const last = caption[end - 1]!;
    if (CLOSERS.has(last)) closers = last + closers;
    else if (!END_MARKS.has(last)) break;
  }
  return end === 0 ? "" : `${caption.slice(0, end)}${closers}.`;
}

/** Only one letter becomes one letter: "ß" stays, since "SS" would be another word. */
function withCapital(caption: string): string {
  const first = String.fromCodePoint(...(caption === "" ? [] : [caption.codePointAt(0)!]));
  const upper = first.toUpperCase();
  return upper.length === first.length ? upper + caption.slice(first.length) : caption;
}
