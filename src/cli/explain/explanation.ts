import { preprocess } from "../../data/image/preprocess.js";
import type { RgbImage } from "../../data/image/rgb.js";
import type { Tokenizer } from "../../data/tokenizer.js";
import type { Caption, ClipCap } from "../../models/clipcap.js";
import type { StepBeams } from "../../models/generate.js";
import {
  attentionOf,
  type Inspection,
  inspectCaption,
  largest,
  nearestTokens,
  type Ranked,
  type SeenAttention,
  type SeenStep,
  softmax,
  tokenText,
  traceBeams,
} from "../../models/inspect.js";

/** Everything that the page says about one caption. Texts of tokens are as GPT-2 has them, spaces included. */
export interface Explanation {
  readonly file: string;
  readonly model: string;
  readonly adapter: string;
  readonly caption: string;
  /** Sum over the tokens as the decoder found it, step by step with its cache. */
  readonly logprob: number;
  readonly picture: { readonly width: number; readonly height: number };
  /** Sides in pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
  /** What the class token attends to in each layer of CLIP. */
  readonly vision: readonly ClassAttention[];
  readonly prefix: readonly PrefixVector[];
  /** Shortest and longest of GPT-2's own vectors of the caption's tokens; none where it has one token. */
  readonly wordLengths?: readonly [number, number];
  readonly words: readonly ChosenWord[];
  readonly beams?: BeamTree;
  readonly steps: readonly SeenStep[];
}

export interface ClassAttention {
  /** By head: the class token itself first, then the patches, row by row. */
  readonly heads: readonly (readonly number[])[];
  readonly mean: readonly number[];
}

export interface PrefixVector {
  /** Its Euclidean length. */
  readonly length: number;
  readonly nearest: readonly { readonly text: string; readonly cosine: number }[];
}

export interface ChosenWord {
  readonly token: number;
  readonly text: string;
  readonly probability: number;
  /** The most probable tokens, the best first. */
  readonly alternatives: readonly { readonly text: string; readonly probability: number }[];
  /** By layer, mean of the heads: over the K prefix vectors and the words before, from the place that chose the word. */
  readonly attention: readonly (readonly number[])[];
}

/** A beam after a step of the search; a step's beams are in order, the best first. */
export interface Beam {
  /** The beam of the step before that it continues. */
  readonly parent: number;
  readonly text: string;
  readonly logprob: number;
  readonly length: number;
  /** It ended in an earlier step and waits. */
  readonly waits: boolean;
  /** Whether it leads to one of the beams of the last step. */
  readonly survives: boolean;
  /** Whether it leads to the caption that won. */
  readonly wins: boolean;
}

export interface BeamTree {
  readonly steps: readonly (readonly Beam[])[];
  readonly captions: readonly { readonly text: string; readonly logprob: number; readonly length: number }[];
}

const ALTERNATIVES = 5;
const NEAREST = 5;

/** Captions the picture, looks inside, and collects what was seen. @param beam number of beams; greedy without */
export async function explain(
  model: ClipCap,
  { file, image, beam }: { readonly file: string; readonly image: RgbImage; readonly beam?: number },
): Promise<Explanation> {
  const { device, networks, tokenizer } = model;
  const how = beam === undefined ? {} : { beam, num: beam };
  const captions = (await model.caption([image], how))[0]!;
  const best = captions[0]!;
  const pixels = preprocess(image, model.preprocessing);
  const seen = await inspectCaption(device, networks, pixels, best.tokens);
  const { imageSize, patchSize } = networks.vision.config;
  return {
    file,
    model: model.files.manifest.name,
    adapter: device.adapter.description,
    caption: best.text,
    logprob: round(best.logprob),
    picture: { width: image.width, height: image.height },
    imageSize,
    patchSize,
    vision: seen.vision.map(classAttention),
    prefix: await prefixVectors(model, seen.prefix),
    wordLengths: span(lengths(seen.words, networks.gpt2.config.width)),
    words: chosenWords(tokenizer, best.tokens, seen),
    ...(beam !== undefined && {
      beams: beamTree(tokenizer, await traceBeams(device, networks, pixels, model.shape(how)), captions),
    }),
    steps: seen.steps,
  };
}

function classAttention(layer: SeenAttention): ClassAttention {
  const heads = attentionOf(layer, 0);
  return { heads: heads.map(rounded), mean: rounded(meanOf(heads)) };
}

async function prefixVectors({ device, networks, tokenizer }: ClipCap, prefix: Float32Array): Promise<PrefixVector[]> {
  const nearest = await nearestTokens(device, networks, prefix, NEAREST);
  return lengths(prefix, networks.gpt2.config.width).map((length, k) => ({
    length: round(length),
    nearest: nearest[k]!.map(({ token, value }) => ({ text: tokenText(tokenizer, token), cosine: round(value) })),
  }));
}

function chosenWords(tokenizer: Tokenizer, tokens: readonly number[], seen: Inspection): ChosenWord[] {
  const vocab = seen.logits.length / tokens.length;
  const named = ({ token, value }: Ranked) => ({ text: tokenText(tokenizer, token), probability: round(value) });
  const first = seen.language[0]!.tokens - tokens.length; // the last prefix vector chooses the first word
  return tokens.map((token, i) => {
    const probabilities = softmax(seen.logits.subarray(i * vocab, (i + 1) * vocab));
    return {
      token,
      text: tokenText(tokenizer, token),
      probability: round(probabilities[token]!),
      alternatives: largest(probabilities, ALTERNATIVES).map(named),
      attention: seen.language.map((layer) => {
        const query = first + i;
        return rounded(meanOf(attentionOf(layer, query)).subarray(0, query + 1));
      }),
    };
  });
}

/** Gives the beams of each step their texts and marks those that lead on to the end. */
export function beamTree(tokenizer: Tokenizer, steps: readonly StepBeams[], captions: readonly Caption[]): BeamTree {
  const last = steps.at(-1)!;
  const mean = (slot: number) => last.score[slot]! / last.length[slot]!;
  const slots = Array.from(last.next, (_, slot) => slot);
  let surviving = new Set(slots);
  let winner = slots.reduce((best, slot) => (mean(slot) > mean(best) ? slot : best), 0);
  const tree = steps.map(() => [] as Beam[]);
  for (let i = steps.length - 1; i >= 0; i--) {
    const { source, next, score, length } = steps[i]!;
    tree[i] = Array.from(next, (token, slot) => ({
      parent: source[slot]!,
      text: tokenText(tokenizer, token),
      logprob: round(score[slot]!),
      length: length[slot]!,
      waits: length[slot]! <= i, // a beam that runs has a token of every step
      survives: surviving.has(slot),
      wins: slot === winner,
    }));
    surviving = new Set([...surviving].map((slot) => source[slot]!));
    winner = source[winner]!;
  }
  const ends = captions.map(({ text, logprob, tokens }) => ({ text, logprob: round(logprob), length: tokens.length }));
  return { steps: tree, captions: ends };
}

function meanOf(heads: readonly Float64Array[]): Float64Array {
  return heads[0]!.map((_, t) => heads.reduce((sum, head) => sum + head[t]!, 0) / heads.length);
}

/** Euclidean lengths of the rows. */
function lengths(rows: Float32Array, columns: number): number[] {
  return Array.from({ length: rows.length / columns }, (_, r) =>
    Math.hypot(...rows.subarray(r * columns, (r + 1) * columns)),
  );
}

function span(values: readonly number[]): [number, number] | undefined {
  return values.length === 0 ? undefined : [round(Math.min(...values)), round(Math.max(...values))];
}

/** Six digits: more than f32 arithmetic keeps through a network. */
function round(value: number): number {
  return Number(value.toPrecision(6));
}

function rounded(values: Float64Array): number[] {
  return Array.from(values, (value) => Number(value.toFixed(5)));
}
