import { existsSync, readFileSync } from "node:fs";
import { rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { splitLines } from "../../../src/data/captions/lines.js";
import { openDataset } from "../../../src/data/captions/node-open.js";
import { ProblemLog, problemSummary } from "../../../src/data/captions/problems.js";
import { failure, folderOf, plain, png, sentences } from "./fixtures.js";

const lines = (...rows: unknown[]) =>
  rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n");

test("images with captions, splits and pixels; rows of one file belong together", async () => {
  const root = await folderOf({
    "captions.jsonl": lines(
      { file: "b.png", split: "val", captions: ["two dogs", "dogs ."] },
      "",
      { file: "sub/a.png", captions: ["a cat"] },
      { file: "b.png", captions: ["three dogs"] },
    ),
    "images/b.png": await png(7),
    "images/sub/a.png": await png(9),
  });
  const data = await openDataset(join(root, "captions.jsonl"));
  expect(plain(data)).toEqual([
    { id: "b.png", captions: ["Two dogs.", "Dogs.", "Three dogs."], split: "dev" },
    { id: "sub/a.png", captions: ["A cat."], split: undefined },
  ]);
  expect(problemSummary(data.problems)).toBe("");
  expect(await data.images[1]!.decode()).toEqual({ width: 2, height: 1, data: new Uint8Array(6).fill(9) });
  expect(plain(await openDataset(root))).toEqual(plain(data));
});

test("the stamp changes with the file's time and size; a file that vanished says so", async () => {
  const root = await folderOf({ "c.jsonl": lines({ file: "a.png", captions: ["a"] }), "a.png": await png(1) });
  const image = (await openDataset(join(root, "c.jsonl"))).images[0]!;
  await utimes(join(root, "a.png"), 1, 1);
  const stamp = await image.stamp();
  expect(await image.stamp()).toBe(stamp);
  await utimes(join(root, "a.png"), 1, 2);
  expect(await image.stamp()).not.toBe(stamp);
  await writeFile(join(root, "a.png"), "longer than before, and no picture at all, as it is read only when decoded");
  expect(await failure(image.decode(), root)).toContain("bad-image: a.png cannot be read as an image");
  await rm(join(root, "a.png"));
  expect(await failure(image.stamp(), root)).toBe("not-found: a.png does not exist; check the path.");
});

test("broken rows, unusable captions and missing images are counted and said with their line", async () => {
  const root = await folderOf({
    "c.jsonl": lines(
      "{",
      { file: 3, captions: [] },
      { file: "a.png", captions: "one" },
      { file: "a.png", captions: ["fine", " . ", "x".repeat(4001), "caf\ufffd"] },
      { file: "a.png", split: "holdout", captions: ["a"] },
      { file: "../a.png", captions: ["a"] },
      { file: "/etc/passwd", captions: ["a"] },
      { file: "..\\a.png", captions: ["a"] },
      { file: "gone.png", captions: ["a"] },
      { file: "empty.png", captions: [] },
      "null",
    ),
    "a.png": await png(1),
    "empty.png": await png(1),
  });
  const data = await openDataset(join(root, "c.jsonl"));
  expect(plain(data)).toEqual([{ id: "a.png", captions: ["Fine."], split: undefined }]);
  expect(problemSummary(data.problems)).toBe(
    "8 rows could not be read, 4 captions were left out and 1 image is missing",
  );
  expect(sentences(data, root)).toEqual([
    'c.jsonl, line 1: "{" is not JSON.',
    'c.jsonl, line 2: "file" must be the name of an image, not 3.',
    'c.jsonl, line 3: "captions" must be a list of texts, not "one".',
    'c.jsonl, line 4: the caption " . " is empty.',
    "c.jsonl, line 4: a caption of 4001 characters is longer than the limit of 4000.",
    'c.jsonl, line 4: the caption "caf\ufffd" is not UTF-8; convert the file.',
    'c.jsonl, line 5: "split" must be one of train, restval, dev, val, validation, test, not "holdout".',
    'c.jsonl, line 6: "../a.png" is no path inside the folder of images.',
    'c.jsonl, line 7: "/etc/passwd" is no path inside the folder of images.',
    'c.jsonl, line 8: "..\\\\a.png" is no path inside the folder of images.',
    'c.jsonl, line 10: "empty.png" has no caption.',
    'c.jsonl, line 11: "file" must be the name of an image, not missing.',
    'c.jsonl, line 9: the image "gone.png" does not exist.',
  ]);
});

test("where captions are not asked for, images without one stay", async () => {
  const rows = [
    { file: "a.png" },
    { file: "b.png", captions: [] },
    { file: "gone.png" },
    { file: "c.png", captions: 3 },
  ];
  const root = await folderOf({ "c.jsonl": lines(...rows), "a.png": await png(1), "b.png": await png(2) });
  const data = await openDataset(join(root, "c.jsonl"), { captionless: true });
  expect(plain(data).map(({ id, captions }) => ({ id, captions }))).toEqual([
    { id: "a.png", captions: [] },
    { id: "b.png", captions: [] },
  ]);
  expect(sentences(data, root)).toEqual([
    'c.jsonl, line 4: "captions" must be a list of texts, not 3.',
    'c.jsonl, line 3: the image "gone.png" does not exist.',
  ]);
  expect(await failure(openDataset(join(root, "c.jsonl")), root)).toMatch(/gives no image with a caption: /);
});

test("a split that contradicts itself is said, and the first stays", async () => {
  const rows = ["train", "test"].map((split) => ({ file: "a.png", split, captions: ["a"] }));
  const root = await folderOf({ "c.jsonl": lines(...rows), "a.png": await png(1) });
  const data = await openDataset(join(root, "c.jsonl"));
  expect(data.images[0]!.split).toBe("train");
  expect(sentences(data, root)).toEqual(['c.jsonl, line 2: "a.png" is in "train" and in "test"; it stays in "train".']);
});

test("one file in several spellings is one image, called as at first", async () => {
  const rows = ["./sub//a.png", "sub/a.png", "sub/./a.png"].map((file, i) => ({ file, captions: [`row ${i}`] }));
  const root = await folderOf({ "c.jsonl": lines(...rows), "sub/a.png": await png(1) });
  const data = await openDataset(join(root, "c.jsonl"));
  expect(plain(data)).toEqual([{ id: "./sub//a.png", captions: ["Row 0.", "Row 1.", "Row 2."], split: undefined }]);
});

test("nothing usable is an error that says why", async () => {
  const root = await folderOf({ "empty.jsonl": "", "gone.jsonl": lines({ file: "a.png", captions: ["a"] }) });
  expect(await failure(openDataset(join(root, "empty.jsonl")), root)).toBe(
    "bad-input: empty.jsonl gives no image with a caption: it is empty.",
  );
  expect(await failure(openDataset(join(root, "gone.jsonl")), root)).toBe(
    'bad-input: gone.jsonl gives no image with a caption: 1 image is missing. First: gone.jsonl, line 1: the image "a.png" does not exist.',
  );
  expect(await failure(openDataset(join(root, "none.jsonl")), root)).toBe(
    "not-found: none.jsonl does not exist; check the path.",
  );
  const images = join(root, "nowhere");
  expect(await failure(openDataset(join(root, "gone.jsonl"), { images }), root)).toBe(
    "not-found: nowhere is no folder of images; check the path.",
  );
});

test("only the first 10,000 problems are kept, all are counted", async () => {
  const root = await folderOf({
    "c.jsonl": lines(...Array(10_050).fill("x"), { file: "a.png", captions: ["a"] }),
    "a.png": await png(1),
  });
  const { problems } = await openDataset(join(root, "c.jsonl"));
  expect(problems.counts.row).toBe(10_050);
  expect(problems.kept.map(({ line }) => line)).toEqual(Array.from({ length: 10_000 }, (_, i) => i + 1));
});

test("lines: pieces cut anywhere, both ends, a byte order mark, one too long", async () => {
  const text = `\ufeffé1\r\n\n${"x".repeat(2 ** 20 + 1)}\nlast 😀`;
  const bytes = new TextEncoder().encode(text);
  for (const step of [1000, 4093, bytes.length]) {
    const problems = new ProblemLog("f");
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 4)];
    for (let at = 4; at < bytes.length; at += step) pieces.push(bytes.subarray(at, at + step));
    const got = [];
    for await (const line of splitLines(pieces, problems)) got.push(line);
    expect(got).toEqual([
      { line: 1, text: "é1" },
      { line: 2, text: "" },
      { line: 4, text: "last 😀" },
    ]);
    expect(problems.kept.map(({ message }) => message)).toEqual([
      "f, line 3: the line is longer than the limit of 1048576 characters.",
    ]);
  }
});

const FLICKR8K = new URL("../../../../shared/data/flickr8k/", import.meta.url);
if (existsSync(new URL("../../../../shared/", import.meta.url))) {
  test("[shared] Flickr8k: 6,000, 1,000 and 1,000 images of five captions, every one of them there", async () => {
    const data = await openDataset(FLICKR8K.pathname);
    const count = (split: string) => data.images.filter((image) => image.split === split).length;
    expect(["train", "dev", "test"].map(count)).toEqual([6000, 1000, 1000]);
    const five = data.images.filter(({ captions }) => captions.length === 5).length;
    expect(data.images.length - five).toBe(data.problems.counts.caption);
    expect(data.problems.counts).toEqual({ row: 0, caption: 0, image: 0, picture: 0 });
    expect(data.images.flatMap(({ captions }) => captions).filter((c) => !/^[^a-z ].*[^. ]\.$/.test(c))).toEqual([]);
    const first = JSON.parse(readFileSync(new URL("captions.jsonl", FLICKR8K), "utf8").split("\n", 1)[0]!);
    expect(data.images[0]!.id).toBe(first.file);
  });
} else {
  test("Flickr8k is not here", () => {
    console.log("[shared] captions of Flickr8k left out: ../shared is absent");
    expect(existsSync(FLICKR8K)).toBe(false);
  });
}
