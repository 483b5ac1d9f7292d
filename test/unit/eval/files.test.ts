import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { EvalFiles, type Line } from "../../../src/eval/node-files.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "clipcap-eval-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const IDENTITY = { model: "small", weights: "a".repeat(64), batch: 2 };
const ids = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"];
const images = ids.map((id) => ({ id, stamp: `10-${id}` }));
const open = (identity: object = IDENTITY, now = images) =>
  EvalFiles.open(folder, identity as never, { images: now, batch: 2, width: 3 });
const line = (id: string): Line => ({ id, caption: `${id} Ö`, tokens: [1, 2], logprob: -1.5 });
const vector = (x: number) => Float32Array.of(x, x + 0.5, -x);
const text = () => readFileSync(join(folder, "captions.jsonl"), "utf8");
const bytes = () => readFileSync(join(folder, "embeddings.f32")).length;

/** Two batches; the second has an image that could not be read. */
async function twoBatches() {
  const files = await open();
  await files.append([line("a.jpg"), line("b.jpg")], [vector(1), vector(2)]);
  await files.append([{ id: "c.jpg", error: "bad-image" }, line("d.jpg")], [vector(4)]);
}

it("takes up what is there", async () => {
  await twoBatches();
  const again = await open();
  expect(again.lines.map(({ id }) => id)).toEqual(["a.jpg", "b.jpg", "c.jpg", "d.jpg"]);
  expect(again.embeddings.map((v) => [...v])).toEqual([1, 2, 4].map((x) => [...vector(x)]));
  expect(again.changed).toBeUndefined();
  expect(bytes()).toBe(36);
});

it.each([
  ["a.jpg", 0],
  ["b.jpg", 0],
  ["c.jpg", 2], // recorded as unreadable, and repaired since
  ["d.jpg", 2],
])("drops lines from the batch of a changed picture on: %s", async (id, count) => {
  await twoBatches();
  const now = images.map((image) => (image.id === id ? { ...image, stamp: "11" } : image));
  const files = await open(IDENTITY, now);
  expect([files.changed, files.lines.length]).toEqual([id, count]);
  for (const other of ids.slice(count, 4)) await files.append([line(other)], [vector(7)]);
  const again = await open(IDENTITY, now);
  expect([again.changed, again.lines.length]).toEqual([undefined, 4]);
  expect((await open()).changed).toBe(id);
});

it("does not mind the change of a picture that it has no line of", async () => {
  await twoBatches();
  const files = await open(IDENTITY, [...images.slice(0, 4), { id: "e.jpg", stamp: "11" }]);
  expect([files.changed, files.lines.length]).toEqual([undefined, 4]);
});

it.each([
  ["a torn line", () => appendFileSync(join(folder, "captions.jsonl"), '{"id":"e.jpg","capt'), 4],
  ["a torn line of the second batch", () => truncateSync(join(folder, "captions.jsonl"), text().length - 10), 2],
  ["an embedding too many", () => appendFileSync(join(folder, "embeddings.f32"), Buffer.alloc(12)), 4],
  ["half an embedding too few", () => truncateSync(join(folder, "embeddings.f32"), 30), 2],
  ["no stamps", () => rmSync(join(folder, "stamps.txt")), 0],
  ["a stamp too many", () => appendFileSync(join(folder, "stamps.txt"), "10-e.jpg\n"), 4],
  ["no embeddings", () => rmSync(join(folder, "embeddings.f32")), 0],
  ["half a batch", () => appendFileSync(join(folder, "captions.jsonl"), `${JSON.stringify(line("e.jpg"))}x\n`), 4],
  ["lines of other images", () => writeFileSync(join(folder, "captions.jsonl"), `${JSON.stringify(line("x"))}\n`), 0],
])("after %s it goes on with whole batches", async (_name, damage, count) => {
  await twoBatches();
  const before = text();
  damage();
  const files = await open();
  expect(files.lines.length).toBe(count);
  expect(text()).toBe(
    before
      .split("\n")
      .slice(0, count)
      .map((one) => `${one}\n`)
      .join(""),
  );
  expect(bytes()).toBe(12 * files.embeddings.length);
  expect(files.embeddings.length).toBe([0, 0, 2, 0, 3][count]);
});

it("keeps a last batch that is smaller, where it is the last", async () => {
  await twoBatches();
  const files = await open();
  await files.append([line("e.jpg")], [vector(5)]);
  expect((await open()).lines.length).toBe(5);
});

it("refuses the folder of another run, says what differs, and leaves it as it is", async () => {
  await twoBatches();
  const before = text();
  await expect(open({ ...IDENTITY, weights: "b".repeat(64) })).rejects.toMatchObject({
    code: "bad-usage",
    message: `${folder} holds captions of another run (weights aaaaaaaaaaaa… there, bbbbbbbbbbbb… now); name another folder with --out, or delete it`,
  });
  await expect(open({ ...IDENTITY, beam: 5 })).rejects.toThrow("(beam unknown there, 5 now)");
  expect(text()).toBe(before);
});

it("takes a folder in which a run was killed while it wrote eval.json", async () => {
  writeFileSync(join(folder, "eval.json.123-0123abcd.tmp"), "{");
  expect((await open()).lines).toEqual([]);
});

it("refuses a folder of other files and a damaged description", async () => {
  writeFileSync(join(folder, "holiday.txt"), "");
  await expect(open()).rejects.toMatchObject({
    code: "bad-usage",
    message: `${folder} holds other files; name a new or empty folder with --out`,
  });
  writeFileSync(join(folder, "eval.json"), "{");
  await expect(open()).rejects.toThrow(`${join(folder, "eval.json")} is damaged; name another folder with --out`);
  const file = join(folder, "holiday.txt", "below");
  await expect(EvalFiles.open(file, IDENTITY, { images, batch: 2, width: 3 })).rejects.toMatchObject({ code: "io" });
});
