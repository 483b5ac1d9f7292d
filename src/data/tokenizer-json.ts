import { ClipCapError } from "../runtime/errors.js";
import { asObject, Fields, type JsonObject } from "../weights/json-fields.js";

/** Checked contents of a `tokenizer.json`: byte-level BPE as GPT-2 and CLIP have it. */
export interface TokenizerFile {
  /** For the library: without truncation and padding, with exact white space, without `plainTokens`. */
  readonly json: JsonObject;
  /** Every token, those of `added_tokens` included. */
  readonly ids: ReadonlyMap<string, number>;
  /** Tokens that are found in the text before it is normalised, such as CLIP's `<|endoftext|>`. */
  readonly plainTokens: ReadonlyMap<string, number>;
  readonly special: ReadonlySet<number>;
  /** "</w>" for CLIP, "" for GPT-2. */
  readonly endOfWord: string;
}

/** Four times the largest vocabulary in use with byte-level BPE (about 256,000). */
const MAX_VOCAB = 1_000_000;

/** How GPT-2 cuts text into words; `\s` is Unicode's white space, which JavaScript's own `\s` is not quite. */
const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const CLIP_WORDS = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
const CLIP_START = "<|startoftext|>";
const END_OF_TEXT = "<|endoftext|>";

/**
 * Checks a `tokenizer.json`. Its truncation entry is dropped: some published files cut at 50 tokens.
 * @throws ClipCapError `bad-weights` naming the file
 */
export function readTokenizerFile(value: unknown, source: string): TokenizerFile {
  const json = asObject(source, value);
  const model = new Fields(source, json).object("model");
  model.word("type", ["BPE"]);
  const ids = readVocab(model);
  const { merges } = model.values;
  if (!Array.isArray(merges) || !merges.every(isMerge)) throw model.error("merges", "a list of pairs of tokens");
  const added = readAddedTokens(json, source, ids);
  const plain = added.filter((token) => token.plain && (json.normalizer ?? undefined) !== undefined);
  return {
    json: {
      ...json,
      truncation: null,
      padding: null,
      normalizer: json.normalizer ?? null,
      post_processor: null,
      decoder: json.decoder ?? null,
      pre_tokenizer: exactWhiteSpace(json.pre_tokenizer ?? null),
      added_tokens: added.filter((token) => !plain.includes(token)).map((token) => token.json),
    },
    ids,
    plainTokens: new Map(plain.map((token) => [token.content, token.id])),
    special: new Set(added.filter((token) => token.special).map((token) => token.id)),
    endOfWord: model.text("end_of_word_suffix") ?? "",
  };
}

function readVocab(model: Fields): Map<string, number> {
  const { where, values } = model.object("vocab");
  const ids = new Map<string, number>();
  for (const [token, id] of Object.entries(values)) ids.set(token, checkId(where, token, id));
  if (ids.size === 0) throw model.error("vocab", "a map from tokens to ids");
  return ids;
}

function checkId(where: string, token: string, id: unknown): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id < MAX_VOCAB) return id;
  const what = `gives token ${JSON.stringify(token.slice(0, 40))} an id that is not a whole number below ${MAX_VOCAB}`;
  throw new ClipCapError("bad-weights", `${where} ${what}.`);
}

function isMerge(merge: unknown): boolean {
  if (typeof merge === "string") return merge.indexOf(" ", 1) > 0;
  return Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === "string" && part !== "");
}

interface AddedToken {
  readonly json: JsonObject;
  readonly content: string;
  readonly id: number;
  readonly special: boolean;
  /** Found in the text as written, without conditions on what stands around it. */
  readonly plain: boolean;
}

/** Also enters the added tokens into `ids`. */
function readAddedTokens(json: JsonObject, source: string, ids: Map<string, number>): AddedToken[] {
  const list = json.added_tokens ?? [];
  if (!Array.isArray(list)) throw new Fields(source, json).error("added_tokens", "a list");
  return list.map((entry: unknown, i) => {
    const token = new Fields(`${source}: added_tokens[${i}]`, asObject(`${source}: added_tokens[${i}]`, entry));
    const content = token.text("content");
    if (!content) throw token.error("content", "a text");
    const id = checkId(token.where, content, token.values.id);
    ids.set(content, id);
    const conditions = ["normalized", "lstrip", "rstrip", "single_word"].some((key) => token.bool(key, false));
    return { json: token.values, content, id, special: token.bool("special", false), plain: !conditions };
  });
}

/**
 * The library cuts words in its ByteLevel step with JavaScript's `\s`, which takes U+FEFF for white space and U+0085
 * for a symbol. Its Split step translates `\s` rightly, so the cutting is moved there.
 */
function exactWhiteSpace(step: unknown): unknown {
  if (typeof step !== "object" || step === null) return step;
  const { type, pretokenizers, use_regex } = step as JsonObject;
  if (type === "Sequence" && Array.isArray(pretokenizers)) {
    return { ...step, pretokenizers: pretokenizers.map(exactWhiteSpace) };
  }
  if (type !== "ByteLevel" || use_regex === false) return step;
  const { add_prefix_space } = step as JsonObject;
  // A prefix space must be there before the cut.
  if (add_prefix_space === true) return step;
  const split = { type: "Split", pattern: { Regex: GPT2_WORDS }, behavior: "Isolated", invert: false };
  return { type: "Sequence", pretokenizers: [split, { ...step, use_regex: false }] };
}

/**
 * The `tokenizer.json` of a folder that has only `vocab.json` and `merges.txt`. CLIP's is recognised by tokens that end
 * in "</w>"; everything else is taken for GPT-2's.
 * @throws ClipCapError `bad-weights`
 */
export function tokenizerJsonFromVocab(vocab: unknown, merges: string, source = "vocab.json"): JsonObject {
  const tokens = asObject(source, vocab);
  const clip = Object.keys(tokens).some((token) => token.endsWith("</w>"));
  // merges.txt of CLIP has Windows line ends; its first line is a version. "#" may also begin a merge.
  const lines = merges.split(/\r?\n/).filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version")));
  const special = (clip ? [CLIP_START, END_OF_TEXT] : [END_OF_TEXT]).filter((token) => Object.hasOwn(tokens, token));
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: true };
  return {
    added_tokens: special.map((content) => ({
      id: tokens[content],
      content,
      special: true,
      normalized: content === CLIP_START,
    })),
    normalizer: clip ? clipNormalizer() : null,
    pre_tokenizer: clip ? { type: "Sequence", pretokenizers: [clipSplit(), byteLevel] } : byteLevel,
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      unk_token: clip ? END_OF_TEXT : null,
      end_of_word_suffix: clip ? "</w>" : "",
      vocab: tokens,
      merges: lines.map((line) => line.split(" ")),
    },
  };
}

function clipNormalizer(): JsonObject {
  const oneSpace = { type: "Replace", pattern: { Regex: "\\s+" }, content: " " };
  return { type: "Sequence", normalizers: [{ type: "NFC" }, oneSpace, { type: "Lowercase" }] };
}

function clipSplit(): JsonObject {
  const special = [CLIP_START, END_OF_TEXT].map((token) => token.replaceAll("|", "\\|"));
  const pattern = { Regex: [...special, CLIP_WORDS].join("|") };
  return { type: "Split", pattern, behavior: "Removed", invert: true };
}
