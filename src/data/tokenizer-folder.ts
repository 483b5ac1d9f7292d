import { type ModelFolder, readJson, readText } from "../weights/folder.js";
import type { JsonObject } from "../weights/json-fields.js";
import { createTokenizer, type Tokenizer } from "./tokenizer.js";
import { tokenizerJsonFromVocab } from "./tokenizer-json.js";

/**
 * The tokenizer of a Hugging Face folder: tokenizer.json, or the older vocab.json with merges.txt.
 * @param config contents of tokenizer_config.json. Only `encodeClip` needs them, and captioning does not look for the
 * file: a web server may answer anything but 404 for one that it does not have.
 */
export async function readTokenizer(folder: ModelFolder, config?: JsonObject): Promise<Tokenizer> {
  if (!(await folder.has("tokenizer.json")) && (await folder.has("vocab.json"))) {
    const json = tokenizerJsonFromVocab(await readJson(folder, "vocab.json"), await readText(folder, "merges.txt"));
    return createTokenizer(json, config, folder.name);
  }
  return createTokenizer(await readJson(folder, "tokenizer.json"), config, `${folder.name}/tokenizer.json`);
}

/** The tokenizer of a CLIP folder, whose tokenizer_config.json may name the tokens of `encodeClip`. */
export async function readClipTokenizer(folder: ModelFolder): Promise<Tokenizer> {
  const file = "tokenizer_config.json";
  return readTokenizer(folder, (await folder.has(file)) ? await readJson(folder, file) : undefined);
}
