import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { createStreamDecoder } from "../../src/data/detokenize.js";
import { createTokenizer } from "../../src/data/tokenizer.js";
import { tokenizerJsonFromVocab } from "../../src/data/tokenizer-json.js";
import { goldenJson } from "../goldens.js";

interface Golden {
  readonly strings: readonly {
    readonly text: string;
    readonly gpt2: { readonly ids: number[]; readonly decoded: string; readonly decoded_clean_up: string };
    readonly clip: { readonly ids: number[]; readonly ids_77: number[]; readonly decoded: string };
  }[];
  readonly gpt2_decode: readonly { readonly ids: number[]; readonly decoded: string }[];
  readonly known_ids: Readonly<Record<string, number>>;
}

const golden = goldenJson<Golden>("tokenizer.json");
const shared = fileURLToPath(new URL("../../../shared/tokenizers", import.meta.url));

function json(...path: string[]): unknown {
  return JSON.parse(readFileSync(join(shared, ...path), "utf8"));
}

function fromVocab(kind: string) {
  const merges = readFileSync(join(shared, kind, "merges.txt"), "utf8");
  return createTokenizer(tokenizerJsonFromVocab(json(kind, "vocab.json"), merges));
}

const SOURCES = {
  "tokenizer.json": (kind: string) =>
    createTokenizer(json(kind, "tokenizer.json"), json(kind, "tokenizer_config.json")),
  "vocab.json and merges.txt": fromVocab,
};

if (existsSync(shared)) {
  describe.each(Object.entries(SOURCES))("[shared] %s", (_, load) => {
    const gpt2 = load("gpt2");
    const clip = load("clip");

    test("sizes and known ids", () => {
      expect([gpt2.vocabSize, clip.vocabSize]).toEqual([50257, 49408]);
      for (const [token, id] of Object.entries(golden.known_ids)) expect(gpt2.encode(token)).toEqual([id]);
      expect(gpt2.idOf("<|endoftext|>")).toBe(50256);
      expect(clip.idOf("<|startoftext|>")).toBe(49406);
      expect(golden.strings.length).toBe(70);
    });

    test.each(golden.strings)("$text", ({ text, gpt2: g, clip: c }) => {
      expect(gpt2.encode(text)).toEqual(g.ids);
      expect(gpt2.decode(g.ids)).toBe(g.decoded);
      expect(gpt2.decode(g.ids, { cleanUp: true })).toBe(g.decoded_clean_up);

      expect(clip.encode(text)).toEqual(c.ids.slice(1, -1));
      const padding = new Array<number>(77 - c.ids_77.length).fill(49407);
      expect(clip.encodeClip(text, 77)).toEqual([...c.ids_77, ...padding]);
      // The golden is the raw joining of tokens; ours is the text of CLIPTokenizer.decode.
      const words = c.decoded.replaceAll("</w>", " ").trimEnd();
      expect(clip.decode(c.ids, { skipSpecial: true })).toBe(words);

      for (const [cleanUp, want] of [
        [false, g.decoded],
        [true, g.decoded_clean_up],
      ] as const) {
        const stream = createStreamDecoder(gpt2, { cleanUp });
        expect(g.ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(want);
      }
    });

    test.each(golden.gpt2_decode)("partial UTF-8 of $ids", ({ ids, decoded }) => {
      expect(gpt2.decode(ids)).toBe(decoded);
      const stream = createStreamDecoder(gpt2);
      expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(decoded);
    });

    // Unicode's white space, which JavaScript's \s is not: U+0085 belongs to it, U+FEFF does not.
    test("white space is Unicode's", () => {
      expect(gpt2.encode(" \u0085x")).toEqual([220, 126, 227, 87]);
      expect(clip.encode("a\u0085b")).toEqual(clip.encode("a b"));
      expect(clip.encode("a\ufeffb")).not.toEqual(clip.encode("a b"));
    });
  });
} else {
  console.log("[shared] tokenizer goldens left out: ../shared/tokenizers is absent");
  test("the set holds 70 strings", () => expect(golden.strings.length).toBe(70));
}
