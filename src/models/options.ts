import type { Tokenizer } from "../data/tokenizer.js";
import { MAX_BEAMS, MAX_STOPS } from "../kernels/decode/limits.js";
import { ClipCapError } from "../runtime/errors.js";
import type { Gpt2Config } from "../weights/config.js";
import type { GeneratorShape, Strategy } from "./generate.js";

/**
 * How captions are made. Greedy, unless `beam` asks for beam search or one of `temperature`, `topK`, `topP` for
 * sampling; several captions per image (`num`) come from beams, else from sampling.
 */
export interface CaptionOptions {
  /** Number of beams, 1 to 16. */
  readonly beam?: number;
  /**
   * `mean` (default) ranks beams by mean log-probability at every step, as the original ClipCap; `length-normalised` is
   * the usual beam search: by sum while alive, finished ones by sum / length^lengthPenalty.
   */
  readonly beamRule?: (typeof BEAM_RULES)[number];
  /** Exponent of the length for `length-normalised`. Default 1. */
  readonly lengthPenalty?: number;
  readonly temperature?: number;
  /** Keep the k most probable tokens; 0 keeps all. */
  readonly topK?: number;
  /** Keep the most probable tokens that together have this probability; 1 keeps all. */
  readonly topP?: number;
  /** The same seed gives the same captions, whatever else is in the batch. Default 0. */
  readonly seed?: number;
  /** Captions per image. Default 1. */
  readonly num?: number;
  /** Longest caption in tokens. Default 67, or as many as the model has positions for. */
  readonly maxTokens?: number;
  /** Tokens that end a caption, as ids or as texts (also after a space). Default: the model's own. */
  readonly stop?: readonly (number | string)[];
  /** Text that every caption continues. */
  readonly prompt?: string;
  /** Above 1 makes tokens less likely that the caption already has. Default 1. */
  readonly repetitionPenalty?: number;
  /** No n tokens in a row occur twice. Default 0: off. */
  readonly noRepeatNgram?: number;
  /** Images captioned at once. Default 8. */
  readonly batch?: number;
  /** Rounding of the centre crop; `torchvision` (default) is the original's. */
  readonly crop?: (typeof CROPS)[number];
  readonly signal?: AbortSignal;
}

const OPTION_NAMES = Object.keys({
  beam: true,
  beamRule: true,
  lengthPenalty: true,
  temperature: true,
  topK: true,
  topP: true,
  seed: true,
  num: true,
  maxTokens: true,
  stop: true,
  prompt: true,
  repetitionPenalty: true,
  noRepeatNgram: true,
  batch: true,
  crop: true,
  signal: true,
} satisfies Record<keyof CaptionOptions, true>);

/** The options for captions among other values, such as a command's flags. */
export function captionOptions(values: CaptionOptions): CaptionOptions {
  return Object.fromEntries(Object.entries(values).filter(([name]) => OPTION_NAMES.includes(name)));
}

/** The original's entry_length (docs/facts.md 5). */
const MAX_TOKENS = 67;
const MAX_BATCH = 256;
const BEAM_RULES = ["mean", "length-normalised"] as const;
const CROPS = ["torchvision", "hf"] as const;

/** What a model knows that its options depend on. */
export interface OptionContext {
  readonly prefixLength: number;
  readonly positions: number;
  readonly vocab: number;
  readonly stopTokens: readonly number[];
  readonly encode: (text: string) => number[];
}

/**
 * The recorded shape that options ask for, without the number of images.
 * @throws ClipCapError `bad-usage` naming the option.
 */
export function generatorShape(options: CaptionOptions, c: OptionContext): Omit<GeneratorShape, "images"> {
  const o = given(options);
  seedOf(o);
  const num = integer("num", o.num ?? 1, 1, 64);
  const beams = integer("beam", o.beam ?? 1, 1, Math.min(MAX_BEAMS, c.vocab));
  const strategy = chooseStrategy(o, num);
  if (strategy.type === "beam" && num > beams) throw usage("num", num, `at most the ${beams} beams`);
  const prompt = promptIds(o.prompt ?? "", c);
  const free = c.positions - c.prefixLength - prompt.length;
  if (free < 1) throw usage("prompt", `${prompt.length} tokens long`, `at most ${c.positions - c.prefixLength - 1}`);
  return {
    width: strategy.type === "beam" ? beams : num,
    prompt,
    maxTokens: integer("maxTokens", o.maxTokens ?? Math.min(MAX_TOKENS, free), 1, free),
    stop: stopIds(o.stop ?? c.stopTokens, c),
    strategy,
    repetitionPenalty: number("repetitionPenalty", o.repetitionPenalty ?? 1, 0.01, 100),
    noRepeatNgram: integer("noRepeatNgram", o.noRepeatNgram ?? 0, 0, 64),
  };
}

/**
 * The options that are not left out: callers without types can pass anything, and null for what they do not set.
 * @throws ClipCapError `bad-usage` for a name that is none of `names`, and where batch, crop or signal are wrong.
 */
export function given<T extends CaptionOptions>(options: T, names: readonly string[] = OPTION_NAMES): T {
  if (typeof options !== "object" || options === null) throw usage("options", options, "an object");
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown) throw new ClipCapError("bad-usage", `there is no option ${unknown}; there are ${names.join(", ")}`);
  const o = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null)) as T;
  batchSize(o);
  cropOf(o);
  if (o.signal && typeof o.signal.aborted !== "boolean") throw usage("signal", o.signal, "an AbortSignal");
  return o;
}

export function batchSize(o: CaptionOptions): number {
  return integer("batch", o.batch ?? 8, 1, MAX_BATCH);
}

/** Images that a program is recorded for. */
export function imageCount(images: number): number {
  return integer("images", images, 1, MAX_BATCH);
}

export function cropOf(o: Pick<CaptionOptions, "crop">): CaptionOptions["crop"] {
  return word("crop", o.crop, CROPS);
}

export function seedOf(o: CaptionOptions): number {
  return integer("seed", o.seed ?? 0, 0, 0xffff_ffff);
}

function chooseStrategy(o: CaptionOptions, num: number): Strategy {
  const samples = o.topK !== undefined || o.topP !== undefined || (o.beam === undefined && o.temperature !== undefined);
  if (o.beam !== undefined) {
    if (samples) throw usage("beam", o.beam, "without topK and topP: beam search does not sample");
    const rule = word("beamRule", o.beamRule, BEAM_RULES) ?? "mean";
    const alpha = number("lengthPenalty", o.lengthPenalty ?? 1, 0, 10);
    if (rule === "mean" && o.lengthPenalty !== undefined && o.lengthPenalty !== 1) {
      throw usage("lengthPenalty", alpha, 'together with beamRule "length-normalised"');
    }
    const temperature = o.temperature === 0 ? 0 : number("temperature", o.temperature ?? 1, 0.01, 100); // 0 is 1
    return { type: "beam", rule, alpha, temperature };
  }
  if (o.beamRule !== undefined || o.lengthPenalty !== undefined) {
    throw usage(o.beamRule !== undefined ? "beamRule" : "lengthPenalty", "given", "together with beam");
  }
  if (!samples && num === 1) return { type: "greedy" };
  return {
    type: "sample",
    temperature: number("temperature", o.temperature ?? 1, 0.01, 100),
    topK: integer("topK", o.topK ?? 0, 0, 1_000_000),
    topP: number("topP", o.topP ?? 1, 1e-6, 1),
  };
}

function promptIds(prompt: string, c: OptionContext): number[] {
  if (typeof prompt !== "string") throw usage("prompt", prompt, "a text");
  const ids = prompt === "" ? [] : c.encode(prompt);
  const strange = ids.find((id) => id >= c.vocab); // a tokenizer may have more tokens than the model
  if (strange === undefined) return ids;
  throw new ClipCapError("bad-input", `the prompt has token ${strange}, but the model knows only ${c.vocab}`);
}

/** What ends a caption where nothing else is said: the ids of "." and " ." and GPT-2's end of text (docs/facts.md 5). */
export function usualStops(
  tokenizer: Pick<Tokenizer, "encode">,
  { eosId, vocab }: Pick<Gpt2Config, "eosId" | "vocab">,
): number[] {
  const points = [".", " ."].map((text) => tokenizer.encode(text)).filter((tokens) => tokens.length === 1);
  return [...new Set([...points.flat(), eosId])].filter((id) => id < vocab);
}

/** A text stops as it is and after a space, where GPT-2 has other tokens for it. */
function stopIds(stop: readonly (number | string)[], c: OptionContext): number[] {
  if (!Array.isArray(stop)) throw usage("stop", JSON.stringify(stop), "a list of texts or token ids");
  const ids = stop.flatMap((s: number | string) => {
    if (typeof s !== "string") return integer("stop", s, 0, c.vocab - 1);
    const single = (s === "" ? [] : [s, ` ${s}`]).map(c.encode).filter((tokens) => tokens.length === 1);
    if (single.length === 0) throw usage("stop", JSON.stringify(s), "a text that is one token of the vocabulary");
    return single.flat();
  });
  if (ids.length > MAX_STOPS) throw usage("stop", `${ids.length} tokens`, `at most ${MAX_STOPS}`);
  return [...new Set(ids)];
}

function integer(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw usage(name, value, `a whole number from ${min} to ${max}`);
}

function number(name: string, value: number, min: number, max: number): number {
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw usage(name, value, `a number from ${min} to ${max}`);
}

/** One of the given words, or nothing. */
export function word<T extends string>(name: string, value: T | undefined, words: readonly T[]): T | undefined {
  if (value == null || words.includes(value)) return value;
  throw usage(name, value, `one of ${words.join(", ")}`);
}

function usage(name: string, value: unknown, allowed: string): ClipCapError {
  const shown = typeof value === "object" && value ? "an object" : String(value);
  return new ClipCapError("bad-usage", `${name} is ${shown}; it must be ${allowed}`);
}
