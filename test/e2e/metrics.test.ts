import { existsSync, readFileSync } from "node:fs";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { goldenJson } from "../goldens.js";
import { clipcap, temporaryFolder } from "./cli.js";

interface Set {
  readonly name: string;
  readonly items: readonly { readonly hypothesis: string; readonly references: readonly string[] }[];
  readonly raw?: Set["items"];
  readonly bleu: { readonly corpus: readonly number[] };
  readonly rouge_l: { readonly corpus: number };
  readonly cider_d: { readonly corpus: number };
}

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
const save = (name: string, value: unknown) => writeFile(at(name), JSON.stringify(value));
const { sets } = goldenJson<{ sets: readonly Set[] }>("metrics.json");
const golden = sets.find(({ items }) => items.length > 3)!;
const NO_GPU = { env: { VK_ICD_FILENAMES: "/nonexistent", VK_DRIVER_FILES: "/nonexistent" } };

beforeAll(async () => {
  const { items } = golden;
  await save("references.json", Object.fromEntries(items.map(({ references }, i) => [`${i}`, references])));
  await save("candidates.json", Object.fromEntries(items.map(({ hypothesis }, i) => [`${i}`, hypothesis])));
  await save("others.json", Object.fromEntries(items.map(({ references }, i) => [`${i}`, references[0]])));
  const annotations = items.flatMap(({ references }, i) => references.map((caption) => ({ image_id: i, caption })));
  await save("coco.json", { annotations: [...annotations, { image_id: 999, caption: "left out" }] });
  await save("results.json", items.map(({ hypothesis }, i) => ({ image_id: i, caption: hypothesis })).toReversed());
});

describe("scores", () => {
  it("--json: the golden values, with exactly these fields, without a GPU", async () => {
    const ran = await clipcap(["metrics", at("references.json"), at("candidates.json"), "--json", "--no-ptb"], NO_GPU);
    expect(ran.stderr).toBe("");
    expect(ran.exitCode).toBe(0);
    expect(ran.lines).toHaveLength(1);
    const got = JSON.parse(ran.stdout);
    expect(Object.keys(got)).toEqual(["bleu", "rouge_l", "cider_d", "n", "ci95"]);
    expect(got.n).toBe(golden.items.length);
    const expected = [...golden.bleu.corpus, golden.rouge_l.corpus, golden.cider_d.corpus];
    const scores = [...got.bleu, got.rouge_l, got.cider_d];
    for (const [i, score] of expected.entries()) expect(Math.abs(scores[i] - score)).toBeLessThan(1e-9);
    const ends = [...got.ci95.bleu, got.ci95.rouge_l, got.ci95.cider_d];
    for (const [i, [low, high]] of ends.entries()) {
      expect(low).toBeLessThanOrEqual(scores[i]);
      expect(high).toBeGreaterThanOrEqual(scores[i]);
    }
  });

  it("the output of clipcap caption --json names images by their paths", async () => {
    const rows = golden.items.map(({ hypothesis }, i) => JSON.stringify({ file: `photos/${i}`, caption: hypothesis }));
    await writeFile(at("paths.jsonl"), rows.join("\n"));
    const score = (file: string, ...more: string[]) =>
      clipcap(["metrics", at("references.json"), at(file), "--json", "--bootstrap", "20", ...more]);
    const [byPath, byName] = await Promise.all([
      score("paths.jsonl", "--compare", at("candidates.json")),
      score("candidates.json"),
    ]);
    const { compare, ...scores } = JSON.parse(byPath.stdout);
    expect(scores).toEqual(JSON.parse(byName.stdout)); // intervals also: numbers as keys and rows in any order
    expect(compare[0].difference.cider_d.difference).toBe(0);
  });

  it("raw text is tokenised", async () => {
    const { raw, bleu, rouge_l, cider_d } = sets.find((set) => set.raw !== undefined)!;
    await save("raw-r.json", Object.fromEntries(raw!.map(({ references }, i) => [`i${i}`, references])));
    await save("raw-c.json", Object.fromEntries(raw!.map(({ hypothesis }, i) => [`i${i}`, hypothesis])));
    const ran = await clipcap(["metrics", at("raw-r.json"), at("raw-c.json"), "--json", "--bootstrap", "0"]);
    const got = JSON.parse(ran.stdout);
    expect(got.ci95).toEqual({});
    expect(got.bleu[3]).toBeCloseTo(bleu.corpus[3]!, 9);
    expect(got.rouge_l).toBeCloseTo(rouge_l.corpus, 9);
    expect(got.cider_d).toBeCloseTo(cider_d.corpus, 9);
  });

  it("COCO's formats; references without a candidate are counted; --quiet does not say so", async () => {
    const args = ["metrics", at("coco.json"), at("results.json"), "--json", "--no-ptb", "--bootstrap", "20"];
    const [ran, quiet] = await Promise.all([clipcap(args), clipcap([...args, "--quiet"])]);
    expect(ran.stderr).toBe("clipcap: images without a candidate: 1; their references are not used");
    expect(quiet.stderr).toBe("");
    expect(quiet.stdout).toBe(ran.stdout);
    expect(JSON.parse(ran.stdout).bleu[0]).toBeCloseTo(golden.bleu.corpus[0]!, 9);
  });

  it("the same seed gives the same intervals, another one others", async () => {
    const args = ["metrics", at("references.json"), at("candidates.json"), "--json", "--bootstrap", "50"];
    const [one, same, other] = await Promise.all([
      clipcap([...args, "--seed", "3"]),
      clipcap([...args, "--seed", "3"]),
      clipcap([...args, "--seed", "4"]),
    ]);
    expect(same.stdout).toBe(one.stdout);
    expect(other.stdout).not.toBe(one.stdout);
  });

  it("a table for people; --compare adds the other system and the differences", async () => {
    const args = ["metrics", at("references.json"), at("candidates.json"), "--compare", at("others.json")];
    const ran = await clipcap([...args, "--bootstrap", "100"]);
    expect(ran.exitCode).toBe(0);
    expect(ran.stdout).toContain(`${at("candidates.json")}: ${golden.items.length} images\n`);
    expect(ran.stdout).toMatch(/^ +score +95 % interval$/m);
    expect(ran.stdout).toMatch(/^ {2}CIDEr-D +\d\.\d{4} +\d\.\d{4} to \d+\.\d{4}$/m);
    expect(ran.stdout).toContain(`${at("others.json")} minus ${at("candidates.json")}\n`);
    expect(ran.stdout).toMatch(/^ {2}BLEU-4 +\+0\.\d{4} +[+-]\d\.\d{4} to \+\d\.\d{4} +0?\.?\d+/m);

    const json = JSON.parse((await clipcap([...args, "--bootstrap", "100", "--json"])).stdout);
    expect(Object.keys(json)).toEqual(["bleu", "rouge_l", "cider_d", "n", "ci95", "compare"]);
    const { rouge_l, difference } = json.compare[0];
    expect(rouge_l).toBe(1);
    expect(difference.rouge_l.difference).toBeCloseTo(1 - json.rouge_l, 12);
    expect(difference.rouge_l.p).toBeLessThan(1);
  });
});

describe("what is not as it should be", () => {
  beforeAll(async () => {
    await save("strangers.json", { x: "a" });
    await save("twice.json", [
      { image_id: 0, caption: "a" },
      { image_id: "0", caption: "b" },
    ]);
    await save("hostile.json", { "\u001b[2J\n": "a" });
    await writeFile(at("broken.json"), '[{"image_id": \u001b[2J');
    await writeFile(at("huge.json"), "[");
    await truncate(at("huge.json"), 300e6);
  });

  it.each([
    [["references.json"], "missing required argument 'candidates'", 2],
    [["references.json", "candidates.json", "--bootstrap", "1.5"], "--bootstrap is 1.5; it must be a whole number", 2],
    [["references.json", "candidates.json", "--bootstrap", "1e9"], "(no intervals) to 10000", 2],
    [["references.json", "candidates.json", "--seed", "-1"], "--seed is -1; it must be a whole number from 0 to", 2],
    [["none.json", "candidates.json"], "none.json does not exist", 1],
    [["candidates.json", "references.json"], "captions; keep one", 1],
    [["references.json", "strangers.json"], 'there are no references for image "x" of', 1],
    [["references.json", "candidates.json", "--compare", "strangers.json"], 'has no caption for image "0" of', 1],
    [["hostile.json", "hostile.json", "--compare", "strangers.json"], 'no caption for image "\\u001b[2J\\n" of', 1],
    [["references.json", "twice.json"], 'entry 2: image "0" has a caption already', 1],
    [["references.json", "broken.json"], "it is not valid JSON", 1],
    [["references.json", "."], "is a folder; name a file", 1],
    [["references.json", "huge.json"], "huge.json has 300 MB; 256 are the limit", 1],
  ])("%j", async (args, message, exitCode) => {
    const ran = await clipcap(["metrics", ...args.map((arg) => (/json$|^\.$/.test(arg) ? at(arg) : arg))]);
    expect(ran.stderr).toContain(message);
    expect(ran.stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(ran.stderr).not.toContain("\u001b");
    expect(ran.exitCode).toBe(exitCode);
    expect(ran.stdout).toBe("");
  });

  it("empty captions, other scripts and captions of 100,000 characters are scored", async () => {
    const long = "the dog ".repeat(12_500);
    await save("odd-r.json", { a: ["a dog"], b: ["一只狗"], c: [long], d: [""] });
    await save("odd-c.json", { a: "", b: "一只狗", c: long, d: "" });
    const ran = await clipcap(["metrics", at("odd-r.json"), at("odd-c.json"), "--json"]);
    expect(ran.exitCode).toBe(0);
    // ROUGE-L 0, 1, 1, and 1 of two empty texts, as coco-caption has it
    expect(JSON.parse(ran.stdout)).toMatchObject({ n: 4, rouge_l: 3 / 4 });
  });

  it("the help says what is read and what is scored", async () => {
    const { stdout, exitCode } = await clipcap(["metrics", "--help"]);
    expect(exitCode).toBe(0);
    for (const text of ["Examples:", "--json", "--quiet", "REFERENCES", "document frequencies", "256 MB"]) {
      expect(stdout).toContain(text);
    }
  });
});

/** The 1,000 test photos of Flickr8k with PyTorch's captions, and what coco-caption's formulas in Python give for them. */
const SHARED = new URL("../../../shared/", import.meta.url);

if (existsSync(SHARED)) {
  it("[shared] the shipped model on Flickr8k", async () => {
    const captions = fileURLToPath(new URL("data/flickr8k/captions.jsonl", SHARED));
    const greedy = readFileSync(new URL("models/flickr8k-small/test_greedy.json", SHARED), "utf8");
    const rows = Object.entries(JSON.parse(greedy) as Record<string, { readonly caption: string }>);
    await save("flickr8k.json", Object.fromEntries(rows.map(([file, { caption }]) => [file, caption])));
    const ran = await clipcap(["metrics", captions, at("flickr8k.json"), "--json", "--bootstrap", "100"]);
    const got = JSON.parse(ran.stdout);
    expect(got.n).toBe(1000);
    for (const [score, expected] of [
      [got.bleu[0], 0.4349],
      [got.bleu[3], 0.0882],
      [got.rouge_l, 0.3564],
      [got.cider_d, 0.1673],
    ]) {
      expect(Math.abs(score - expected)).toBeLessThan(5e-4);
    }
  });
} else {
  it("the test photos of Flickr8k are not here", () => {
    console.log("[shared] scores of Flickr8k left out: ../shared is absent");
    expect(existsSync(SHARED)).toBe(false);
  });
}
