import { expect, it } from "vitest";
import { byteCharacters } from "../../../src/data/detokenize.js";
import { DRAWING_VERSION } from "../../../src/data/scenes/dataset.js";
import { createTokenizer } from "../../../src/data/tokenizer.js";
import { tokenizerJsonFromVocab } from "../../../src/data/tokenizer-json.js";
import { parseTrainConfig } from "../../../src/train/config.js";
import { openTrainingData, tokenize } from "../../../src/train/node-data.js";
import { openNetworks } from "../../../src/train/node-networks.js";
import { tinyConfig } from "../../e2e/tiny-run.js";

it("the digest of scenes names all that they depend on, how they are drawn as well", async () => {
  const networks = { clip: "a", gpt2: "b" };
  const data = { source: "scenes", scenes: { train: 5, dev: 2, size: 32 } };
  const config = parseTrainConfig({ seed: 7, networks, data }, "config.json");
  const { digest, train, dev } = await openTrainingData(config);
  expect(digest).toBe(`scenes ${DRAWING_VERSION} 7 5 2 32`);
  expect([train.length, dev.length]).toEqual([5, 2]);
});

it("a text ends at its end token, also with CLIP's files whose eos_token_id is 2", async () => {
  const config = parseTrainConfig(tinyConfig(), "config.json");
  const networks = await openNetworks(config);
  const { train } = await openTrainingData(config);
  // As in CLIP's vocabulary: start and end have the largest ids, and 2 is a quote inside a word.
  const letters = [...byteCharacters(), ...byteCharacters().map((letter) => `${letter}</w>`)].sort();
  const vocab = [...letters, "<|startoftext|>", "<|endoftext|>"];
  const [start, end] = [vocab.length - 2, vocab.length - 1];
  const tokenizer = createTokenizer(tokenizerJsonFromVocab(Object.fromEntries(vocab.map((t, id) => [t, id])), ""));
  const captions = ["A ball.", 'No. "".'];
  expect(tokenizer.encode(captions[1]!)).toContain(2);
  for (const eosId of [2, end]) {
    const text = { ...networks.clip.config.text, eosId };
    const clip = { ...networks.clip, tokenizer, config: { ...networks.clip.config, text } };
    const made = tokenize([{ ...train[0]!, captions }], { ...networks, clip }, { endToken: true, contrastive: true });
    const clipIds = made.texts[0]!.map((own) => own.clip);
    expect(clipIds).toEqual(captions.map((caption) => [start, ...tokenizer.encode(caption), end]));
  }
});
