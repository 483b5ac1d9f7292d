import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { UnreadableImages } from "../../../src/cli/search-unreadable.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "clipcap-unreadable-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const failure = { stamp: "2-1", reason: " is empty." };

it("knows an image until its file changes", async () => {
  const images = await UnreadableImages.open(folder);
  await images.save();
  expect(readdirSync(folder)).toEqual([]); // nothing to say
  images.set("/a.jpg", failure);
  await images.save();
  const again = await UnreadableImages.open(folder);
  expect([again.reason("/a.jpg", "2-1"), again.reason("/a.jpg", "2-2"), again.reason("/b.jpg", "2-1")]).toEqual([
    " is empty.",
    undefined,
    undefined,
  ]);
});

it("keeps the last 10,000", async () => {
  const images = await UnreadableImages.open(folder);
  for (let i = 0; i < 10_001; i++) images.set(`/${i}`, failure);
  images.set("/1", failure);
  await images.save();
  const again = await UnreadableImages.open(folder);
  const known = [0, 1, 2, 10_000].map((i) => again.reason(`/${i}`, "2-1") !== undefined);
  expect(known).toEqual([false, true, true, true]);
});

it.each(["", "{", "null", '{"a":1}', "[1]", '[["/a.jpg",1,2]]'])("takes %j for nothing", async (text) => {
  writeFileSync(join(folder, "unreadable.json"), text);
  expect((await UnreadableImages.open(folder)).reason("/a.jpg", "2-1")).toBeUndefined();
});
