import type { JsonObject } from "../../weights/json-fields.js";
import { byteCharacters } from "../detokenize.js";
import { tokenizerJsonFromVocab } from "../tokenizer-json.js";
import { captionWords, firstWords } from "./captions.js";

export interface TokenizerFiles {
  /** Contents of `tokenizer.json`. */
  readonly tokenizer: JsonObject;
  /** Contents of `tokenizer_config.json`. */
  readonly config: JsonObject;
}

const END_OF_TEXT = "<|endoftext|>";

/**
 * A byte-level BPE as GPT-2's, for CLIP and GPT-2 alike, in which every word of `sceneCaptions` is one token:
 * `<|endoftext|>` (id 0, also CLIP's start), the 256 bytes, and the words' beginnings, one letter longer each.
 * @param contextLength largest number of ids that the model takes
 */
export function sceneTokenizer(contextLength: number): TokenizerFiles {
  const merges = new Map<string, string>();
  // A word is merged from its first letter on. No merge starts inside a word, since words begin with a space or a
  // capital letter and have neither inside, so the order of merges does not matter.
  for (const word of [...captionWords().map((word) => `Ġ${word}`), ...firstWords().map(capitalised)]) {
    for (let end = 2; end <= word.length; end++)
      merges.set(word.slice(0, end), `${word.slice(0, end - 1)} ${word[end - 1]}`);
  }
  const tokens = [END_OF_TEXT, ...byteCharacters(), ...merges.keys()];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return {
    tokenizer: tokenizerJsonFromVocab(vocab, [...merges.values()].join("\n")),
    config: {
      tokenizer_class: "GPT2Tokenizer",
      add_prefix_space: false,
      bos_token: END_OF_TEXT,
      eos_token: END_OF_TEXT,
      unk_token: END_OF_TEXT,
      model_max_length: contextLength,
    },
  };
}

function capitalised(word: string): string {
  return `${word[0]!.toUpperCase()}${word.slice(1)}`;
}
