import type { ClipCap } from "../models/clipcap.js";
import { captionAttention, type EmbeddedCaption, tokenText } from "../models/inspect.js";

/** A token of a caption and what GPT-2 attended to when it chose it, mean of layers and heads. */
export interface AttendedWord {
  /** As GPT-2 has it, with its space. */
  readonly text: string;
  /** Of each prefix vector; the rest went to the words before. */
  readonly prefix: readonly number[];
}

/** The same for each of the captions. @param captions that the model made of these embeddings */
export async function attendedWords(model: ClipCap, captions: readonly EmbeddedCaption[]): Promise<AttendedWord[][]> {
  const { device, networks, tokenizer } = model;
  const { prefixLength } = networks.mapper.config;
  const shares = await captionAttention(device, networks, captions);
  return captions.map(({ tokens }, c) =>
    tokens.map((token, i) => ({
      text: tokenText(tokenizer, token),
      prefix: Array.from(shares[c]![i]!.subarray(0, prefixLength), (share) => Number(share.toFixed(4))),
    })),
  );
}
