import { Tokenizer as Library } from "@huggingface/tokenizers";
import { ClipCapError } from "../runtime/errors.js";
import type { JsonObject } from "../weights/json-fields.js";
import { cleanUpSpaces, tokenBytes, utf8Decoder } from "./detokenize.js";
import { readTokenizerFile, type TokenizerFile } from "./tokenizer-json.js";

/** Byte-level BPE of GPT-2 or CLIP. */
export interface Tokenizer {
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** Ids of a text, nothing added around it. Special tokens written out in the text become their ids. */
  encode(text: string): number[];
  /**
   * CLIP's input: start, text, end, cut to `contextLength` ids with the end kept, padded on the right (the text tower is
   * causal and pools at the first end, so the padding has no influence).
   * @throws ClipCapError `bad-weights` when the tokenizer has no start or end token, `bad-input` for a length below 2
   */
  encodeClip(text: string, contextLength: number): number[];
  /**
   * Text of ids; invalid UTF-8 becomes U+FFFD, one for each maximal invalid part. CLIP's words are joined by spaces.
   * @param options.cleanUp remove spaces before punctuation and contractions; default false
   * @param options.skipSpecial leave out special tokens such as `<|endoftext|>`; default false
   * @throws ClipCapError `bad-input` for an id outside the vocabulary
   */
  decode(ids: readonly number[], options?: { readonly cleanUp?: boolean; readonly skipSpecial?: boolean }): string;
  idOf(token: string): number | undefined;
  /** The bytes one id stands for. @throws ClipCapError `bad-input` for an id outside the vocabulary */
  bytesOf(id: number): Uint8Array;
}

/** Longest text that is encoded: a prompt of 1,024 tokens has some 4,000 characters, merging is not linear. */
const MAX_TEXT = 100_000;

/**
 * @param tokenizerJson contents of `tokenizer.json`, or what `tokenizerJsonFromVocab` made
 * @param configJson contents of `tokenizer_config.json`: names of start, end and padding token
 * @param source name of the file for error messages
 * @throws ClipCapError `bad-weights`
 */
export function createTokenizer(tokenizerJson: unknown, configJson?: unknown, source = "tokenizer.json"): Tokenizer {
  const file = readTokenizerFile(tokenizerJson, source);
  const config = typeof configJson === "object" && configJson !== null ? (configJson as JsonObject) : {};
  return new BpeTokenizer(file, config, source);
}

class BpeTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly #library: Library;
  readonly #bytes: (Uint8Array | undefined)[];
  readonly #tokens: (string | undefined)[];

  constructor(
    private readonly file: TokenizerFile,
    private readonly config: JsonObject,
    private readonly source: string,
  ) {
    this.vocabSize = [...file.ids.values()].reduce((size, id) => Math.max(size, id + 1), 0);
    this.#tokens = new Array(this.vocabSize);
    this.#bytes = new Array(this.vocabSize);
    for (const [token, id] of file.ids) this.#tokens[id] = token;
    try {
      this.#library = new Library(file.json, {});
    } catch (cause) {
      throw new ClipCapError("bad-weights", `${source} is not a usable tokenizer (${(cause as Error).message}).`, {
        cause,
      });
    }
  }

  idOf(token: string): number | undefined {
    return this.file.ids.get(token);
  }

  encode(text: string): number[] {
    if (text.length > MAX_TEXT) {
      throw new ClipCapError(
        "bad-input",
        `a text of ${text.length} characters is longer than the limit of ${MAX_TEXT}.`,
      );
    }
    return this.#segments(text).flatMap((segment) => {
      const plain = this.file.plainTokens.get(segment);
      return plain === undefined ? this.#library.encode(segment, { add_special_tokens: false }).ids : [plain];
    });
  }

  /**
   * The library also takes text that only *becomes* an added token by normalisation ("<|ENDOFTEXT|>") for that token;
   * tokens that must stand in the text as written are therefore cut out here.
   */
  #segments(text: string): string[] {
    const tokens = [...this.file.plainTokens.keys()];
    if (tokens.length === 0) return text === "" ? [] : [text];
    const escaped = tokens.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return text.split(new RegExp(`(${escaped.join("|")})`, "u")).filter((segment) => segment !== "");
  }

  encodeClip(text: string, contextLength: number): number[] {
    if (!Number.isInteger(contextLength) || contextLength < 2) {
      throw new ClipCapError(
        "bad-input",
        `the context length is ${contextLength}, but start and end alone take 2 ids.`,
      );
    }
    const end = this.#special("eos_token", ["<|endoftext|>"]);
    const start = this.#special("bos_token", ["<|startoftext|>", "<|endoftext|>"]);
    const padding = this.config.pad_token === undefined ? end : this.#special("pad_token", ["<|endoftext|>"]);
    const ids = [start, ...this.encode(text).slice(0, contextLength - 2), end];
    while (ids.length < contextLength) ids.push(padding);
    return ids;
  }

  /** Id of the token that the configuration names (as text or {"content"}), else of the first that exists. */
  #special(key: string, usual: readonly string[]): number {
    const named = this.config[key];
    const content = typeof named === "object" && named !== null ? (named as JsonObject).content : named;
    const candidates = typeof content === "string" ? [content] : usual;
    for (const token of candidates) {
      const id = this.idOf(token);
      if (id !== undefined) return id;
    }
    throw new ClipCapError("bad-weights", `${this.source} has no ${candidates.join(" or ")}, which ${key} needs.`);
  }

  decode(ids: readonly number[], options: { readonly cleanUp?: boolean; readonly skipSpecial?: boolean } = {}): string {
    const utf8 = utf8Decoder();
    let text = "";
    for (const id of ids) {
      const bytes = this.bytesOf(id);
      if (!(options.skipSpecial && this.file.special.has(id))) text += utf8.decode(bytes, { stream: true });
    }
    text += utf8.decode();
    // The space after the last word is no text.
    if (this.file.endOfWord !== "") text = text.trimEnd();
    return options.cleanUp ? cleanUpSpaces(text) : text;
  }

  bytesOf(id: number): Uint8Array {
    const known = this.#bytes[id];
    if (known) return known;
    const token = this.#tokens[id];
    if (token === undefined) {
      throw new ClipCapError("bad-input", `token id ${id} is not in the vocabulary of ${this.vocabSize} tokens.`);
    }
    const { endOfWord } = this.file;
    const ends = endOfWord !== "" && token.endsWith(endOfWord);
    const bytes = ends ? Uint8Array.of(...tokenBytes(token.slice(0, -endOfWord.length)), 32) : tokenBytes(token);
    this.#bytes[id] = bytes;
    return bytes;
  }
}
