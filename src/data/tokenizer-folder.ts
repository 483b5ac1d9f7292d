import { type ModelFolder, readJson, readText } from "../weights/folder.js";
import { createTokenizer, type Tokenizer } from "./tokenizer.js";
import { tokenizerJsonFromVocab } from "./tokenizer-json.js";

/** The tokenizer of a Hugging Face folder: tokenizer.json, or the older vocab.json with merges.txt. */
export async function readTokenizer(folder: ModelFolder): Promise<Tokenizer> {
  const name = `${folder.name}/tokenizer.json`;
  const config = (await folder.has("tokenizer_config.json"))
    ? await readJson(folder, "tokenizer_config.json")
    : undefined;
  if (await folder.has("tokenizer.json"))
    return createTokenizer(await readJson(folder, "tokenizer.json"), config, name);
  if (await folder.has("vocab.json")) {
    const vocab = await readJson(folder, "vocab.json");
    return createTokenizer(tokenizerJsonFromVocab(vocab, await readText(folder, "merges.txt")), config, folder.name);
  }
  return createTokenizer(await readJson(folder, "tokenizer.json"), config, name); // throws not-found
}
