import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cleanUpSpaces, createStreamDecoder, tokenBytes } from "../../src/data/detokenize.js";
import { createTokenizer } from "../../src/data/tokenizer.js";
import { readClipTokenizer, readTokenizer } from "../../src/data/tokenizer-folder.js";
import { tokenizerJsonFromVocab } from "../../src/data/tokenizer-json.js";
import { mapFolder, urlFolder } from "../../src/weights/folder.js";

function shipped(part: "clip" | "gpt2", name: string): Record<string, unknown> {
  const url = new URL(`../../weights/flickr8k-small/${part}/${name}`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8"));
}

const json = shipped("gpt2", "tokenizer.json");
const gpt2 = createTokenizer(json, shipped("gpt2", "tokenizer_config.json"));
const clip = createTokenizer(shipped("clip", "tokenizer.json"), shipped("clip", "tokenizer_config.json"));

describe("the shipped tokenizer", () => {
  test("has 4,096 tokens", () => {
    expect(gpt2.vocabSize).toBe(4096);
    expect([gpt2.idOf("<|endoftext|>"), gpt2.idOf("."), gpt2.idOf("no such token")]).toEqual([0, 14, undefined]);
  });

  test("decodes what it encoded", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
        expect(gpt2.decode(gpt2.encode(text))).toBe(text);
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  test("CLIP's input starts and ends with the tokens of the configuration, cut or padded to the context", () => {
    const words = clip.encode("a dog runs");
    expect(clip.encodeClip("a dog runs", 8)).toEqual([0, ...words, 0, ...new Array(6 - words.length).fill(0)]);
    const cut = clip.encodeClip("a dog runs over the green grass", 4);
    expect(cut).toEqual([0, ...clip.encode("a dog runs over the green grass").slice(0, 2), 0]);
    expect(clip.encodeClip("", 2)).toEqual([0, 0]);
    expect(() => clip.encodeClip("a", 1)).toThrow("the context length is 1, but start and end alone take 2 ids.");
  });

  test("special tokens are decoded unless left out", () => {
    const ids = [...gpt2.encode("a dog."), 0];
    expect(gpt2.decode(ids)).toBe("a dog.<|endoftext|>");
    expect(gpt2.decode(ids, { skipSpecial: true })).toBe("a dog.");
    expect(gpt2.decode([])).toBe("");
  });

  test.each([-1, 4096, 1.5, Number.NaN])("refuses to decode the id %f", (id) => {
    expect(() => gpt2.decode([id])).toThrow(`token id ${id} is not in the vocabulary of 4096 tokens.`);
  });

  test("refuses a text too long to be a prompt", () => {
    expect(() => gpt2.encode("a".repeat(100_001))).toThrow(
      "a text of 100001 characters is longer than the limit of 100000.",
    );
  });
});

describe("the tokenizer of a folder", () => {
  const bytes = (json: unknown) => new TextEncoder().encode(JSON.stringify(json));

  test.each([
    ["an application's page", () => new Response("<!doctype html>")],
    ["403", () => new Response(null, { status: 403 })],
  ])("needs no tokenizer_config.json for captions: a web server answers %s for it", async (_, other) => {
    const fetch = async (url: unknown) => (url === "/m/tokenizer.json" ? new Response(bytes(json)) : other());
    const tokenizer = await readTokenizer(urlFolder("/m", { fetch }));
    expect(tokenizer.encode("a dog.")).toEqual(gpt2.encode("a dog."));
  });

  test("of CLIP starts and ends as tokenizer_config.json says", async () => {
    const config = { bos_token: { content: "a" }, eos_token: "." };
    const files = new Map([
      ["tokenizer.json", bytes(json)],
      ["tokenizer_config.json", bytes(config)],
    ]);
    const tokenizer = await readClipTokenizer(mapFolder("clip", files));
    expect(tokenizer.encodeClip("", 2)).toEqual([gpt2.idOf("a"), gpt2.idOf(".")]);
    files.delete("tokenizer_config.json");
    expect((await readClipTokenizer(mapFolder("clip", files))).encodeClip("", 2)).toEqual([0, 0]);
  });
});

describe("stream decoding", () => {
  /** Text that is hard to clean up in pieces: spaces, quotes and contractions next to each other. */
  const hard = fc.string({
    unit: fc.constantFrom(" ", "'", "n", "t", "s", "m", "v", "e", "r", ".", ",", "!", "?", "x"),
    maxLength: 24,
  });

  test.each([true, false])("equals decoding at once, clean-up %s", (cleanUp) => {
    fc.assert(
      fc.property(hard, (text) => {
        const ids = Array.from(text, (character) => gpt2.encode(character)[0]!);
        const stream = createStreamDecoder(gpt2, { cleanUp });
        expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(gpt2.decode(ids, { cleanUp }));
      }),
      { seed: 2, numRuns: 20_000 },
    );
  });

  test("holds back half a character and a space that punctuation may remove", () => {
    const bytes = [...new TextEncoder().encode("é .")].map((byte) => ({ 195: 195, 169: 169, 32: 32, 46: 46 })[byte]!);
    const stream = createStreamDecoder({ bytesOf: (id) => Uint8Array.of(id) }, { cleanUp: true });
    expect(bytes.map((byte) => stream.push(byte))).toEqual(["", "é", "", "."]);
    expect(stream.end()).toBe("");
  });

  test("a word that begins no contraction appears at once", () => {
    const stream = createStreamDecoder(gpt2, { cleanUp: true });
    expect(gpt2.encode("A dog runs.").map((id) => stream.push(id))).toEqual(["A", " dog", " runs", "."]);
  });

  test("an incomplete character becomes U+FFFD at the end", () => {
    const stream = createStreamDecoder({ bytesOf: (id) => Uint8Array.of(id) });
    expect([stream.push(0xf0), stream.push(0x9f), stream.push(0x98), stream.end()]).toEqual(["", "", "", "\ufffd"]);
  });
});

test("clean-up removes spaces before punctuation and contractions", () => {
  expect(cleanUpSpaces("a man , a dog . is n't it 's we 've rock ' n ' roll ?")).toBe(
    "a man, a dog. isn't it's we've rock'n'roll?",
  );
});

test("bytes of a token: GPT-2's alphabet, else its UTF-8", () => {
  expect([...tokenBytes("Ġa")]).toEqual([32, 97]);
  expect([...tokenBytes("Ã©")]).toEqual([195, 169]);
  expect([...tokenBytes("a b")]).toEqual([97, 32, 98]);
});

describe("vocab.json and merges.txt", () => {
  const { model } = json as { model: { vocab: Record<string, number>; merges: [string, string][] } };
  const merges = (end: string) => ["#version: 0.2", ...model.merges.map((pair) => pair.join(" ")), ""].join(end);

  test.each(["\n", "\r\n"])("give the same tokenizer, line ends %j", (end) => {
    const other = createTokenizer(tokenizerJsonFromVocab(model.vocab, merges(end)));
    for (const text of ["Two dogs play in the snow.", "  # of  <|endoftext|> é\n", "it's"]) {
      expect(other.encode(text)).toEqual(gpt2.encode(text));
    }
    expect(other.decode([0], { skipSpecial: true })).toBe("");
  });

  test('tokens that end in "</w>" mean CLIP: lower case, one space', () => {
    const vocab = { a: 0, b: 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4, "<|startoftext|>": 5, "<|endoftext|>": 6 };
    const small = createTokenizer(tokenizerJsonFromVocab(vocab, "#version: 0.2\r\na b</w>\r\n"));
    expect(small.encodeClip("A  ab\nB", 7)).toEqual([5, 2, 4, 3, 6, 6, 6]);
    expect(small.decode([5, 2, 4, 3, 6], { skipSpecial: true })).toBe("a ab b");
    // Start is found after lower-casing, end only as written; "a" and "b" are all the letters this vocabulary has.
    expect(small.encode("<|STARTOFTEXT|>a<|endoftext|>b")).toEqual([5, 2, 6, 3]);
  });

  test.each([
    [["a"], "", "must be a JSON object"],
    [{ a: 0 }, "a b c", '"merges" must be a list of pairs'],
    [{ a: "0" }, "", 'gives token "a" an id that is not a whole number below 1000000'],
    [{}, "", '"vocab" must be a map'],
  ])("refuses %j with %j", (vocab, text, message) => {
    expect(() => createTokenizer(tokenizerJsonFromVocab(vocab, text))).toThrow(message);
  });
});

describe("refuses a damaged tokenizer.json", () => {
  const model = json.model as Record<string, unknown>;
  test.each([
    [null, "tokenizer.json must be a JSON object"],
    [{}, '"type" must be one of BPE'],
    [{ ...json, model: { ...model, type: "Unigram" } }, '"type" must be one of BPE, not "Unigram"'],
    [{ ...json, model: { ...model, vocab: { a: -1 } } }, 'gives token "a" an id'],
    [{ ...json, model: { ...model, vocab: { a: 1e9 } } }, 'gives token "a" an id'],
    [{ ...json, model: { ...model, merges: "x" } }, '"merges" must be a list of pairs'],
    [{ ...json, model: { ...model, merges: [["a"]] } }, '"merges" must be a list of pairs'],
    [{ ...json, added_tokens: {} }, '"added_tokens" must be a list'],
    [{ ...json, added_tokens: [{ id: 1 }] }, 'added_tokens[0]: "content" must be a text'],
    [{ ...json, added_tokens: [{ id: 1e9, content: "x" }] }, 'gives token "x" an id'],
    [{ ...json, pre_tokenizer: { type: "Nonsense" } }, "tokenizer.json is not a usable tokenizer"],
  ])("%#", (value, message) => {
    const error = (() => {
      try {
        createTokenizer(value);
      } catch (e) {
        return e;
      }
    })();
    expect(error).toMatchObject({ code: "bad-weights" });
    expect(String(error)).toContain(message);
  });

  test("a truncation entry is ignored", () => {
    const cut = createTokenizer({
      ...json,
      truncation: { max_length: 3, direction: "Right", strategy: "LongestFirst", stride: 0 },
    });
    expect(cut.encode("a b c d e f g").length).toBe(7);
  });

  test("a tokenizer without an end token says so when CLIP needs it", () => {
    const none = createTokenizer(tokenizerJsonFromVocab({ a: 0 }, ""), undefined, "clip/tokenizer.json");
    expect(() => none.encodeClip("a", 5)).toThrow("clip/tokenizer.json has no <|endoftext|>, which eos_token needs.");
  });
});
