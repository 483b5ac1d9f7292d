import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { clipcap, ROOT, temporaryFolder } from "./cli.js";

const PICTURES = ["black-dog-water", "brown-dog-grass", "person-beach", "white-dog-snow"];

let folder: string;
let photos: string;
let cache: string[];
beforeAll(async () => {
  folder = await temporaryFolder();
  photos = join(folder, "photos");
  cache = ["--cache", join(folder, "cache")];
  mkdirSync(photos);
  for (const name of PICTURES) {
    const svg = new URL(`../../examples/pictures/${name}.svg`, import.meta.url).pathname;
    await sharp(svg)
      .resize(200)
      .flatten({ background: "white" })
      .png()
      .toFile(join(photos, `${name}.png`));
  }
});

/** Files of images' vectors; those of questions lie in a folder of their own. */
const shards = (of = "images") =>
  readdirSync(join(folder, "cache"), { recursive: true })
    .map((name) => `${name}`)
    .filter((name) => name.endsWith(".safetensors") && name.includes("/words/") === (of === "words"));
const ranked = (lines: readonly string[]) => lines.map((line) => JSON.parse(line) as { file: string; score: number });

describe("clipcap search", () => {
  it("ranks images by words, looks at each once, and again when it has changed", async () => {
    const args = ["search", "a dog in the snow", photos, ...cache, "--json"];
    const first = await clipcap(args);
    expect(first.exitCode).toBe(0);
    const found = ranked(first.lines);
    expect(found.map(({ file }) => file).sort()).toEqual(PICTURES.map((name) => join(photos, `${name}.png`)));
    expect(found.map(({ score }) => score)).toEqual(found.map(({ score }) => score).sort((a, b) => b - a));
    expect(found[0]!.file).toContain("white-dog-snow");
    expect(found.at(-1)!.score).toBeLessThan(found[0]!.score);

    // What is known is not looked at: these two are no pictures any more, but have the size and time that they had.
    const [kept] = shards();
    const broken = join(photos, "person-beach.png");
    const before = readFileSync(broken);
    writeFileSync(broken, Buffer.alloc(before.length));
    utimesSync(broken, 1e9, 1e9);
    const changed = await clipcap(args);
    expect(changed.exitCode).toBe(1);
    expect(changed.stderr).toContain("person-beach.png cannot be read as an image");
    expect(ranked(changed.lines).length).toBe(3);
    // Nor is what cannot be read; the same is said of it, by the name that it is given now.
    const short = relative(ROOT, photos);
    const repeated = await clipcap(["search", "a dog in the snow", short, ...cache, "--device", "no such device"]);
    expect([repeated.exitCode, repeated.lines.length]).toEqual([1, 3]);
    const complaint = (stderr: string) => stderr.split("\n").filter((line) => line.startsWith("clipcap: "));
    expect(complaint(repeated.stderr)).toEqual([complaint(changed.stderr)[0]!.replace(photos, short)]);
    writeFileSync(broken, before);
    utimesSync(broken, 2e9, 2e9);
    cpSync(join(photos, "white-dog-snow.png"), join(photos, "new.png"));
    const again = await clipcap([...args, "--top", "2"]);
    expect(again.exitCode).toBe(0);
    const twins = ranked(again.lines);
    expect(twins.map(({ file }) => file)).toEqual(["new", "white-dog-snow"].map((name) => join(photos, `${name}.png`)));
    expect(twins[0]!.score).toBeCloseTo(twins[1]!.score, 3);
    expect(shards().length).toBe(1); // compacted
    expect(shards()[0]).not.toBe(kept);
    const known = shards()[0];
    expect((await clipcap(args)).lines.length).toBe(5);
    expect(shards()).toEqual([known]);
    rmSync(join(photos, "new.png"));
    expect((await clipcap(args)).stdout).not.toContain("new.png");
  });

  it("answers a question that was asked before without a device", async () => {
    const args = ["search", "a dog in the snow", photos, ...cache, "--json"];
    const first = await clipcap(args);
    expect(shards("words").length).toBe(1);
    const again = await clipcap([...args, "--device", "no such device"]);
    expect([again.exitCode, again.stdout]).toEqual([0, first.stdout]);
    const twice = await clipcap([...args.slice(0, 3), relative(ROOT, photos), ...args.slice(3)]);
    expect(twice.stdout).toBe(first.stdout);
    const other = await clipcap(["search", "a beach", photos, ...cache, "--device", "no such device"]);
    expect([other.exitCode, other.stdout]).toEqual([1, ""]);
    expect(other.stderr).toContain("no adapter is called no such device");
  });

  it("finds images like another and writes a page", async () => {
    const page = join(folder, "found.html");
    const like = join(photos, "white-dog-snow.png");
    const ran = await clipcap(["search", "--like", like, photos, ...cache, "--top", "3", "--html", page]);
    expect([ran.exitCode, ran.stderr]).toEqual([0, ""]);
    expect(ran.lines.length).toBe(4);
    expect(ran.stdout).not.toContain("white-dog-snow");
    expect(ran.lines[3]).toBe(`Wrote ${page}`);
    const html = readFileSync(page, "utf8");
    expect(html.match(/data:image\/jpeg;base64,/g)!.length).toBe(4);
    expect(html).toContain("The 3 nearest of 4 images");
  });

  it.each([
    [["search", "a dog"], 2, "give images after the words: files, folders or patterns"],
    [["search", "  ", "."], 2, "there are no words to look for"],
    [["search", "a dog", "nowhere"], 1, "nowhere does not exist"],
    [["search", "a dog", ".", "--top", "0"], 2, "--top is 0; it must be a whole number from 1 to 1000"],
    [["search", "a dog", "examples/pictures", "--model", "nowhere"], 1, "there is no model nowhere"],
    [["search", "--like", "nowhere.png", "examples/pictures/bike-dirt-road.svg"], 1, "nowhere.png does not exist"],
    [["search", "--like", "README.md/x", "examples/pictures/bike-dirt-road.svg"], 1, "README.md/x does not exist"],
  ])("%j is refused", async (args, exitCode, message) => {
    const ran = await clipcap([...args, ...cache]);
    expect([ran.exitCode, ran.stdout]).toEqual([exitCode, ""]);
    expect(ran.stderr).toContain(message);
  });

  it("says so when the cache holds what it did not write", async () => {
    const other = join(folder, "other");
    cpSync(join(folder, "cache"), other, { recursive: true });
    writeFileSync(join(other, shards()[0]!), "nothing");
    const ran = await clipcap(["search", "a dog", photos, "--cache", other]);
    expect([ran.exitCode, ran.stdout]).toEqual([1, ""]);
    expect(ran.stderr).toContain(
      "is damaged (it is cut short or no safetensors file); delete it, and what it held is embedded again",
    );
  });
});
