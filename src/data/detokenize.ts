/** From the bytes of tokens to text: GPT-2's byte alphabet, Hugging Face's clean-up, and both while streaming. */

/** Printable characters that stand for themselves in the byte alphabet; the other 68 bytes are U+0100, U+0101, ... */
const PRINTABLE: readonly (readonly [first: number, last: number])[] = [
  [33, 126],
  [161, 172],
  [174, 255],
];

const BYTE_OF: ReadonlyMap<string, number> = byteAlphabet();

function byteAlphabet(): Map<string, number> {
  const bytes = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = PRINTABLE.some(([first, last]) => byte >= first && byte <= last);
    bytes.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return bytes;
}

/** The byte alphabet: a character for each byte 0 ... 255. */
export function byteCharacters(): readonly string[] {
  return [...BYTE_OF.keys()];
}

/** Bytes of a token written in the byte alphabet; a token with any other character stands for its own UTF-8. */
export function tokenBytes(token: string): Uint8Array {
  const bytes = Array.from(token, (character) => BYTE_OF.get(character));
  return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : new TextEncoder().encode(token);
}

/** UTF-8 with U+FFFD for each maximal invalid part; a byte order mark is text like any other. */
export function utf8Decoder(): TextDecoder {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}

/** In this order; each replaces all its occurrences (`clean_up_tokenization_spaces` of transformers, docs/facts.md 5). */
const CLEAN_UP: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** Removes the spaces that word-by-word decoding leaves before punctuation and English contractions. */
export function cleanUpSpaces(text: string): string {
  return CLEAN_UP.reduce((cleaned, [from, to]) => cleaned.replaceAll(from, to), text);
}

/** A text end that further characters could still turn into something to clean up. */
const OPEN_END = / [ ']*(?:n'?|v|r)?$/;

export interface StreamDecoder {
  /** The text that became certain with this token; "" while a character or a clean-up is incomplete. */
  push(id: number): string;
  /** What is left; an incomplete character becomes U+FFFD. The decoder must not be used afterwards. */
  end(): string;
}

/**
 * Decodes tokens as they arrive. All pieces joined equal `tokenizer.decode` of all ids with the same `cleanUp` (for
 * GPT-2; CLIP's decode also drops the space after the last word).
 * @param options.cleanUp default false
 */
export function createStreamDecoder(
  tokenizer: { bytesOf(id: number): Uint8Array },
  options: { readonly cleanUp?: boolean } = {},
): StreamDecoder {
  const utf8 = utf8Decoder();
  let held = "";
  return {
    push(id) {
      const text = utf8.decode(tokenizer.bytesOf(id), { stream: true });
      if (!options.cleanUp) return text;
      held += text;
      const open = held.search(OPEN_END);
      const certain = open < 0 ? held : held.slice(0, open);
      held = open < 0 ? "" : held.slice(open);
      return cleanUpSpaces(certain);
    },
    end() {
      held += utf8.decode();
      return options.cleanUp ? cleanUpSpaces(held) : held;
    },
  };
}
