import { appendFileSync, cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { openDevice } from "../../src/node.js";
import { newTable, saveTable, tableFile, tunedOf } from "../../src/tune/node-table.js";
import { clipcap, picture, temporaryFolder } from "./cli.js";

const FILES = [
  "captions.jsonl",
  "embeddings.f32",
  "eval.json",
  "references.json",
  "report.html",
  "results.json",
  "scores.json",
  "stamps.txt",
];

let folder: string;
let args: string[];
beforeAll(async () => {
  folder = await temporaryFolder();
  const row = (file: string, split: string, captions: string[]) => JSON.stringify({ file, split, captions });
  const lines = [];
  for (let i = 0; i < 5; i++) {
    await picture(join(folder, "images", `${i}.png`), 50 * i);
    lines.push(row(`${i}.png`, "test", [`A man is standing in the grass ${i} .`, "a dog , running"]));
  }
  writeFileSync(join(folder, "images", "broken.png"), "no picture");
  lines.push(row("broken.png", "test", ["A cat ."]), row("0.png", "train", ["A dog is running through the grass."]));
  await picture(join(folder, "images", "t.png"), 9);
  lines.push(row("t.png", "train", ["A dog is running through the grass."]), row("gone.png", "test", ["A cat ."]));
  writeFileSync(join(folder, "captions.jsonl"), lines.join("\n"));
  args = ["eval", "--data", join(folder, "captions.jsonl"), "--batch", "2"];
});

afterEach(() => {
  vi.unstubAllEnvs();
});

const content = (out: string) => FILES.map((name) => readFileSync(join(out, name)).toString("base64"));

describe("clipcap eval", () => {
  it("writes captions, scores and a page, and the same files when it goes on after a break", async () => {
    const out = join(folder, "whole");
    const ran = await clipcap([...args, "--out", out, "--retrieval", "--json"]);
    expect(ran.exitCode).toBe(1); // one image could not be read
    expect(ran.stderr).toContain("broken.png");
    expect(ran.stderr).toContain("1 image is missing");
    const scores = JSON.parse(ran.stdout);
    expect(JSON.parse(readFileSync(join(out, "scores.json"), "utf8"))).toEqual(scores);
    expect(scores).toMatchObject({ system: "flickr8k-small", n: 5, split: "test", decoding: "greedy" });
    expect(scores.left_out).toEqual(["broken.png"]);
    expect(Object.keys(scores.ci95)).toEqual(["bleu", "rouge_l", "cider_d", "clip_score", "ref_clip_score"]);
    expect(scores.diversity.novel).toBeGreaterThan(0);
    expect(scores.retrieval.text_to_image.r10).toBe(1);
    const captions = readFileSync(join(out, "captions.jsonl"), "utf8").trim().split("\n");
    expect(captions.map((line) => JSON.parse(line).id)).toEqual([
      ...[0, 1, 2, 3, 4].map((i) => `${i}.png`),
      "broken.png",
    ]);
    expect(JSON.parse(captions[5]!)).toEqual({ id: "broken.png", error: "bad-image" });
    // The official tools and clipcap metrics read what is there, and find the same.
    const again = await clipcap(["metrics", join(out, "references.json"), join(out, "results.json"), "--json"]);
    const { bleu, rouge_l, cider_d } = JSON.parse(again.stdout);
    expect([bleu, rouge_l, cider_d]).toEqual([scores.bleu, scores.rouge_l, scores.cider_d]);

    const page = readFileSync(join(out, "report.html"), "utf8");
    expect(page.match(/<details class="attention">/g)!.length).toBe(5);
    expect(page).toContain("word 1: 100 %"); // where there is nothing else to attend to

    const broken = join(folder, "resumed");
    cpSync(out, broken, { recursive: true });
    for (const name of ["scores.json", "report.html", "results.json", "references.json"]) rmSync(join(broken, name));
    truncateSync(join(broken, "captions.jsonl"), `${captions[0]}\n${captions[1]}\n${captions[2]}`.length - 5);
    appendFileSync(join(broken, "embeddings.f32"), "torn");
    const resumed = await clipcap([...args, "--out", broken, "--retrieval", "--json"]);
    expect(resumed.stdout).toBe(ran.stdout);
    expect(content(broken)).toEqual(content(out));

    const other = await clipcap([...args, "--out", out, "--beam", "2"]);
    expect(other.exitCode).toBe(2);
    expect(other.stderr).toContain("holds captions of another run (decoding greedy there, beam 2 now)");
  });

  it("captions pictures anew that have changed, and says each time what it leaves out", async () => {
    const [changing, copied] = [join(folder, "changing"), join(folder, "copied")];
    cpSync(join(folder, "images"), changing, { recursive: true });
    const evaluate = (images: string) => clipcap([...args, "--images", images, "--out", `${images}-out`]);
    const first = await evaluate(changing);
    const second = await evaluate(changing);
    expect([first.exitCode, second.exitCode]).toEqual([1, 1]);
    expect(second.stdout).toBe(first.stdout);
    expect(second.stdout).toContain('left out, since they could not be read: "broken.png"');
    expect(second.stderr).toContain('"broken.png" could not be read (bad-image)');
    expect(second.stderr).not.toContain("another picture");

    await picture(join(changing, "2.png"), 233);
    await picture(join(changing, "broken.png"), 70);
    const third = await evaluate(changing);
    expect(third.exitCode).toBe(0);
    expect(third.stderr).toContain('"2.png" is another picture than was captioned; captions are made anew from there');
    expect(third.stdout).not.toContain("left out");
    cpSync(changing, copied, { recursive: true });
    const fresh = await evaluate(copied);
    expect(third.stdout.replace(changing, copied)).toBe(fresh.stdout);
    // The times of files are in stamps.txt and nowhere else.
    expect(content(`${changing}-out`).slice(0, -1)).toEqual(content(`${copied}-out`).slice(0, -1));
    expect(content(`${changing}-out`)).not.toEqual(content(`${copied}-out`));
  });

  it("goes on with the kernels that it began with, measured or usual, and with no others", async () => {
    vi.stubEnv("XDG_CACHE_HOME", join(folder, "caches"));
    const evaluate = (tune: "0" | "1", out: string) => {
      vi.stubEnv("CLIPCAP_TUNE", tune);
      return clipcap([...args, "--limit", "1", "--out", join(folder, out), "--json"]);
    };
    const device = await openDevice();
    const won = { of: "layernorm 256", shape: "", usual: "usual", chosen: "shared256", speedup: 2, wrong: [] };
    const table = newTable(device.adapter, [won]);
    await saveTable(tableFile(device.adapter), table);
    device.close();
    const { digest } = tunedOf(table);

    const usual = await evaluate("0", "usual");
    expect(JSON.parse(usual.stdout).tuned).toBeNull();
    const measured = await evaluate("1", "measured");
    expect(JSON.parse(measured.stdout).tuned).toBe(digest);
    expect((await evaluate("1", "measured")).stdout).toBe(measured.stdout);
    for (const [tune, out, values] of [
      ["1", "usual", `tuned none there, ${digest} now`],
      ["0", "measured", `tuned ${digest} there, none now`],
    ] as const) {
      const other = await evaluate(tune, out);
      expect([other.exitCode, other.stdout]).toEqual([2, ""]);
      expect(other.stderr).toContain(`holds captions of another run (${values})`);
    }
  });

  it("compares with an evaluation that could not read an image which can be read now", async () => {
    const [images, before] = [join(folder, "broke"), join(folder, "before")];
    cpSync(join(folder, "images"), images, { recursive: true });
    const evaluate = (...extra: string[]) => clipcap([...args, "--images", images, "--json", ...extra]);
    await evaluate("--out", before);
    await picture(join(images, "broken.png"), 70);
    const ran = await evaluate("--out", join(folder, "after"), "--compare", before);
    expect([ran.exitCode, ran.stderr]).toEqual([0, expect.not.stringContaining("no caption")]);
    const { n, left_out, compare } = JSON.parse(ran.stdout);
    expect([n, left_out]).toEqual([5, ["broken.png"]]);
    expect(compare[0].difference.cider_d).toEqual({ difference: 0, ci95: [0, 0], p: 1 });

    writeFileSync(join(before, "scores.json"), "{");
    const damaged = await evaluate("--out", join(folder, "after"), "--compare", before);
    expect(damaged.exitCode).toBe(1);
    expect(damaged.stderr).toContain("scores.json is damaged; run that evaluation again");
  });

  it("compares with a model and with a file of captions", async () => {
    const out = join(folder, "compared");
    const rival = join(folder, "rival.json");
    const ids = [0, 1, 2, 3, 4].map((i) => `${i}.png`);
    const perfect = Object.fromEntries([
      ...ids.map((id, i) => [id, `a man is standing in the grass ${i}`]),
      ["broken.png", ""],
    ]);
    writeFileSync(rival, JSON.stringify(perfect));
    const ran = await clipcap([...args, "--out", out, "--compare", rival, "--compare", "flickr8k-small", "--json"]);
    const { compare, bleu } = JSON.parse(ran.stdout);
    expect(compare.map(({ system }: { system: string }) => system)).toEqual([rival, "flickr8k-small"]);
    expect(compare[0].bleu[3]).toBeCloseTo(1, 6);
    expect(compare[0].difference.bleu[3].difference).toBeCloseTo(1 - bleu[3], 6);
    expect(compare[0].difference.bleu[3].p).toBeLessThan(0.05);
    expect(compare[1].difference.cider_d).toEqual({ difference: 0, ci95: [0, 0], p: 1 });
    expect(existsSync(join(out, "compare-2", "captions.jsonl"))).toBe(true);
  });

  it("stops at Ctrl-C with what it has, and goes on", async () => {
    const out = join(folder, "stopped");
    const ran = await clipcap([...args, "--out", out, "--batch", "1"], {
      disturb: (child) => {
        const timer = setInterval(() => {
          if (!existsSync(join(out, "captions.jsonl")) || readFileSync(join(out, "captions.jsonl")).length === 0)
            return;
          clearInterval(timer);
          child.kill("SIGINT");
        }, 5);
        child.once("exit", () => clearInterval(timer));
      },
    });
    expect([ran.exitCode, ran.stdout]).toEqual([130, ""]);
    expect(existsSync(join(out, "scores.json"))).toBe(false);
    const rest = await clipcap([...args, "--out", out, "--batch", "1", "--quiet"]);
    expect(rest.stdout).toContain("BLEU-4");
    expect(readFileSync(join(out, "captions.jsonl"), "utf8").trim().split("\n").length).toBe(6);
  });

  it("reads a file of the named format, and pictures as they are stored when asked to", async () => {
    const lying = join(folder, "lying.txt"); // its name does not say that it is JSON lines
    await picture(join(folder, "images", "upright.png"), 80);
    const turned = await sharp(join(folder, "images", "upright.png"))
      .withMetadata({ orientation: 6 })
      .toBuffer();
    writeFileSync(join(folder, "images", "turned.png"), turned);
    writeFileSync(lying, JSON.stringify({ file: "turned.png", split: "test", captions: ["A man ."] }));
    const evaluate = (out: string, ...extra: string[]) =>
      clipcap(["eval", "--data", lying, "--format", "jsonl", "--out", join(folder, out), "--quiet", ...extra]);
    const embedding = (out: string) => readFileSync(join(folder, out, "embeddings.f32"));

    const runs = await Promise.all([evaluate("turned"), evaluate("stored", "--raw-orientation")]);
    expect(runs.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(embedding("stored").equals(embedding("turned"))).toBe(false);
    writeFileSync(lying, JSON.stringify({ file: "upright.png", split: "test", captions: ["A man ."] }));
    expect((await evaluate("upright")).exitCode).toBe(0);
    expect(embedding("stored").equals(embedding("upright"))).toBe(true);

    const cropped = await evaluate("upright", "--crop", "hf");
    expect(cropped.exitCode).toBe(2);
    expect(cropped.stderr).toContain("holds captions of another run (crop torchvision there, hf now)");
  });

  it.each([
    [
      ["--split", "night"],
      2,
      'has no images of the split "night", but test (6), train (1); --split all takes every image',
    ],
    [["--split", "dev"], 2, 'has no images of the split "dev"'],
    [["--images", "nowhere"], 1, "nowhere is no folder of images"],
    [["--model", "nowhere"], 1, "there is no model nowhere"],
    [["--compare", "nowhere"], 1, "nowhere is neither"],
    [["--batch", "0"], 2, "--batch is 0; it must be a whole number from 1 to 256"],
    [["--limit", "0.5"], 2, "--limit is 0.5; it must be a whole number of at least 1"],
    [["--beam", "17"], 2, "--beam is 17; it must be a whole number from 1 to 16"],
    [["--beam", "2", "--greedy"], 2, "cannot be used with option"],
  ])("%j is refused", async (extra, exitCode, message) => {
    const ran = await clipcap([...args, "--out", join(folder, "refused"), ...extra]);
    expect([ran.exitCode, ran.stdout]).toEqual([exitCode, ""]);
    expect(ran.stderr).toContain(message);
    expect(ran.stderr.trim().split("\n").length).toBeLessThan(4);
    expect(existsSync(join(folder, "refused"))).toBe(false);
  });

  it("refuses captions of other images to compare with", async () => {
    const rival = join(folder, "others.json");
    writeFileSync(rival, '{"0.png":"a dog","9.png":"a cat"}');
    const ran = await clipcap([...args, "--compare", rival]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toContain(
      'others.json has no caption for image "1.png" and 4 more (its ids are such as "0.png"); give captions of the same images',
    );
  });
});
