import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { clipcap, picture, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  await picture(at("a.jpg"), 10);
  await picture(at("b.png"), 90);
  await picture(at("deep/c.webp"), 200);
});

const parse = (lines: readonly string[]) => lines.map((line) => JSON.parse(line));

describe("clipcap caption", () => {
  it("prints JSON lines in the order of the images, and nothing else on stdout", async () => {
    const ran = await clipcap(["caption", at("b.png"), at("a.jpg"), at("deep"), "--json", "--batch", "2"]);
    expect(ran.exitCode, ran.stderr).toBe(0);
    const rows = parse(ran.lines);
    expect(rows.map((row) => row.file)).toEqual([at("b.png"), at("a.jpg"), at("deep/c.webp")]);
    for (const row of rows) {
      expect(Object.keys(row)).toEqual(["file", "caption", "tokens", "logprob", "ms"]);
      expect(row.caption).toMatch(/^A .*\.$/);
      expect(row.tokens.every(Number.isInteger)).toBe(true);
      expect(row.logprob).toBeLessThan(0);
      expect(row.ms).toBeGreaterThan(0);
    }
  });

  it("prints `file: caption` for people, for folders, patterns and lists; --quiet leaves stderr empty", async () => {
    const [folders, patterns, lists] = await Promise.all([
      clipcap(["caption", folder, "--quiet"]),
      clipcap(["caption", at("*.{jpg,png}")]),
      clipcap(["caption", "-"], { input: `${at("deep/c.webp")}\n${at("a.jpg")}\n` }),
    ]);
    const files = ({ lines }: { lines: string[] }) => lines.map((line) => /^(.*): A .*\.$/.exec(line)?.[1]);
    expect(files(folders)).toEqual([at("a.jpg"), at("b.png"), at("deep/c.webp")]);
    expect(folders.stderr).toBe("");
    expect(files(patterns)).toEqual([at("a.jpg"), at("b.png")]);
    expect(files(lists)).toEqual([at("deep/c.webp"), at("a.jpg")]);
  });

  it("gives --num captions, ranked; the same seed draws the same ones", async () => {
    const args = ["caption", at("a.jpg"), "--num", "3", "--top-p", "0.9", "--seed", "7", "--json"];
    const [first, again, beams] = await Promise.all([
      clipcap(args),
      clipcap(args),
      clipcap(["caption", at("a.jpg"), "--num", "2", "--beam", "3", "--json"]),
    ]);
    const rows = parse(first.lines);
    expect(rows.map((row) => row.rank)).toEqual([1, 2, 3]);
    expect(new Set(rows.map((row) => row.caption)).size).toBeGreaterThan(1);
    expect(parse(again.lines).map((row) => row.tokens)).toEqual(rows.map((row) => row.tokens));
    const means = parse(beams.lines).map((row) => row.logprob / row.tokens.length);
    expect(means).toHaveLength(2);
    expect(means[0]).toBeGreaterThanOrEqual(means[1]!);
  });

  it("continues a prompt, stops where told, and keeps to --max-tokens", async () => {
    const [prompted, short, stopped] = await Promise.all([
      clipcap(["caption", at("b.png"), "--prompt", "Two women", "--json"]),
      clipcap(["caption", at("b.png"), "--max-tokens", "3", "--json"]),
      clipcap(["caption", at("b.png"), "--stop", "ing", "--stop", ".", "--stop", " is", "--stop", " are", "--json"]),
    ]);
    expect(parse(prompted.lines)[0].caption).toMatch(/^Two women /);
    expect(parse(short.lines)[0].tokens).toHaveLength(3);
    expect(parse(stopped.lines)[0].caption).toMatch(/(ing| is| are|\.)$/);
  });

  it("captions the other images when one is damaged and one is missing", async () => {
    const bytes = await readFile(at("b.png"));
    await writeFile(at("cut.png"), bytes.subarray(0, bytes.length / 2));
    const args = ["caption", at("a.jpg"), at("cut.png"), at("gone.jpg"), at("b.png"), "--json"];
    const ran = await clipcap(args);
    expect(ran.exitCode).toBe(1);
    expect(parse(ran.lines).map((row) => row.file)).toEqual([at("a.jpg"), at("b.png")]);
    expect(ran.stderr).toContain(`clipcap: ${at("gone.jpg")} does not exist`);
    expect(ran.stderr).toContain(`clipcap: ${at("cut.png")} is damaged or cut off`);
  });
});
