import { utimes } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DatasetFormat } from "../../../src/data/captions/dataset.js";
import { openDataset } from "../../../src/data/captions/node-open.js";
import { type TarMember, tarMembers } from "../../../src/data/captions/tar.js";
import { ClipCapError } from "../../../src/runtime/errors.js";
import { memorySource } from "../../../src/weights/source.js";
import { failure, folderOf, plain, png, sentences } from "./fixtures.js";
import { type Member, paxRecord, tar } from "./tar.js";

async function members(bytes: Uint8Array): Promise<TarMember[]> {
  const found = [];
  for await (const member of tarMembers(memorySource("t.tar", bytes))) found.push(member);
  return found;
}

const LONG = `${"folder/".repeat(30)}ü.jpg`;

describe("tar", () => {
  test("names: short, with prefix, GNU's long ones, pax; folders and links are passed over", async () => {
    const bytes = tar([
      { name: "a.txt", data: "one" },
      { name: "sub/", data: "", type: "5" },
      { name: "link", data: "", type: "2" },
      { name: "sized/", data: "", type: "5", size: "00000010000\0" },
      { name: "hard", data: "", type: "1", size: "77777777777\0" },
      { name: "b.txt", data: "two", prefix: "deep/er" },
      { name: "././@LongLink", data: `${LONG}\0`, type: "L" },
      { name: LONG.slice(0, 99), data: "three" },
      { name: "pax_global_header", data: paxRecord("path", "not this"), type: "g" },
      { name: "PaxHeader", data: paxRecord("mtime", "1.5") + paxRecord("path", LONG), type: "x" },
      { name: "cut", data: "four" },
      { name: "PaxHeader", data: paxRecord("size", "6"), type: "x" },
      { name: "sized", data: "length", size: "00000000000\0" },
      { name: "big", data: "x".repeat(3000), size: "\x80\0\0\0\0\0\0\0\0\0\x0b\xb8" },
      { name: "old", data: "old", type: "\0" },
    ]);
    const found = await members(bytes);
    expect(
      found.map(({ name, offset, size }) => [name, bytes.toString("utf8", offset, offset + Math.min(size, 9))]),
    ).toEqual([
      ["a.txt", "one"],
      ["deep/er/b.txt", "two"],
      [LONG, "three"],
      [LONG, "four"],
      ["sized", "length"],
      ["big", "xxxxxxxxx"],
      ["old", "old"],
    ]);
  });

  test.each<[string, Uint8Array, string]>([
    ["no archive", Buffer.alloc(512, 1), "t.tar, byte 0: this is no tar header"],
    ["half a header", tar([{ name: "a", data: "" }], 0).subarray(0, 300), "byte 0: a header is incomplete"],
    [
      "cut short",
      tar([{ name: "a", data: "x".repeat(2000) }], 0).subarray(0, 1000),
      "byte 0: a file reaches beyond the end",
    ],
    [
      "8 EiB",
      tar([{ name: "a", data: "", size: "\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" }]),
      "beyond the end",
    ],
    ["negative", tar([{ name: "a", data: "", size: `\xff${"\xff".repeat(11)}` }]), "beyond the end"],
    ["no number", tar([{ name: "a", data: "", size: "99999999999" }]), "beyond the end"],
    [
      "a name of 100 kB",
      tar([{ name: "L", data: "x".repeat(100_000), type: "L" }]),
      "is longer than the limit of 65536",
    ],
    [
      "pax of 5 GB",
      tar([
        { name: "x", data: paxRecord("size", "5000000000"), type: "x" },
        { name: "a", data: "" },
      ]),
      "beyond",
    ],
  ])("%s is refused", async (_, bytes, message) => {
    await expect(members(bytes)).rejects.toThrow(message);
  });

  test("any bytes, and any byte changed: members inside the file or a clear error, never a hang", async () => {
    const whole = tar([
      { name: "PaxHeader", data: paxRecord("path", LONG), type: "x" },
      { name: "a.jpg", data: "x".repeat(700) },
      { name: "L", data: LONG, type: "L" },
      { name: "b.txt", data: "caption" },
    ]);
    const check = async (bytes: Uint8Array) => {
      const found = await members(bytes).catch((error) => {
        expect(error).toBeInstanceOf(ClipCapError);
        expect(error.code).toBe("bad-input");
        return [];
      });
      for (const { offset, size } of found) expect(offset + size).toBeLessThanOrEqual(bytes.length);
    };
    const damaged = fc.tuple(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length)).map(([at, value, cut]) => {
      const bytes = Uint8Array.from(whole.subarray(0, cut));
      if (at < cut) bytes[at] = value;
      return bytes;
    });
    const options = { seed: 1, numRuns: 400 };
    await fc.assert(fc.asyncProperty(fc.oneof(damaged, fc.uint8Array({ maxLength: 2000 })), check), options);
  });
});

const sample = (key: string, image: Uint8Array, text?: string): Member[] => [
  { name: `${key}.jpg`, data: image },
  { name: `${key}.json`, data: "{}" },
  { name: `${key}.cls`, data: "3" },
  ...(text === undefined ? [] : [{ name: `${key}.txt`, data: text }]),
];

describe("WebDataset", () => {
  test("shards of a folder in order; images are read from their range", async () => {
    const root = await folderOf({
      "s/1.tar": tar([...sample("./y", await png(2), "of y"), ...sample("z", await png(3), "z one\nz two\n")]),
      "s/0.tar": tar([...sample("x.y", await png(9), "other key"), ...sample("x", await png(1), "of x")]),
      "s/readme": "",
    });
    const data = await openDataset(join(root, "s"));
    expect(data.format).toBe("webdataset");
    expect(plain(data)).toEqual([
      { id: "0.tar/x.jpg", captions: ["Of x."], split: undefined },
      { id: "1.tar/y.jpg", captions: ["Of y."], split: undefined },
      { id: "1.tar/z.jpg", captions: ["Z one.", "Z two."], split: undefined },
    ]);
    expect(await Promise.all(data.images.map(async (image) => (await image.decode()).data[0]))).toEqual([1, 2, 3]);
    for (const pattern of ["s/*.tar", "s/{0,1}.tar"])
      expect(plain(await openDataset(join(root, pattern)))).toEqual(plain(data));
    expect(plain(await openDataset(join(root, "s/1.tar"))).length).toBe(2);
    const stamps = await Promise.all(data.images.map((image) => image.stamp()));
    await utimes(join(root, "s/1.tar"), 1, 1);
    const after = await Promise.all(data.images.map((image) => image.stamp()));
    expect(after.map((stamp, i) => stamp === stamps[i])).toEqual([true, false, false]);
  });

  test("samples without an image or captions, a bad picture and a shard cut short are said; the rest counts", async () => {
    const good = sample("good", await png(1), "good");
    const root = await folderOf({
      "0.tar": tar([
        ...good,
        { name: "alone.txt", data: "no image" },
        ...sample("silent", await png(1)),
        ...sample("broken", Buffer.from("no picture"), "broken"),
        { name: "long.jpg", data: await png(1) },
        { name: "long.txt", data: "x".repeat(2 ** 20 + 1) },
      ]),
      "1.tar": tar([...good, ...sample("cut", await png(1), "cut")]).subarray(0, 5400),
    });
    const data = await openDataset(root);
    expect(data.images.map(({ id }) => id)).toEqual(["0.tar/good.jpg", "0.tar/broken.jpg", "1.tar/good.jpg"]);
    expect(await failure(data.images[1]!.decode(), root)).toMatch(
      /^bad-image: 0.tar\/broken.jpg cannot be read as an image/,
    );
    const said = sentences(data, root);
    expect(said).toEqual([
      "0.tar, long.txt: it has 1048577 bytes, more than the limit of 1048576.",
      '0.tar, sample "alone": it has no image.',
      '0.tar, sample "silent": "0.tar/silent.jpg" has no caption.',
      '0.tar, sample "long": "0.tar/long.jpg" has no caption.',
      expect.stringMatching(/^1.tar, archive: 1.tar, byte \d+: .*; the archive is damaged or cut short\.$/),
      expect.stringContaining('1.tar, sample "cut": "1.tar/cut.jpg" has no caption.'),
    ]);
  });

  test("a sample with two members of one name is left out: which belong together, nobody knows", async () => {
    const [one, two] = [await png(1), await png(2)];
    const root = await folderOf({
      "s.tar": tar([
        { name: "a.png", data: one },
        { name: "a.txt", data: "first" },
        { name: "./a.png", data: two },
        { name: "a.txt", data: "second" },
        { name: "b.png", data: one },
        { name: "b.txt", data: "first" },
        { name: "b.TXT", data: "second" },
        { name: "c.png", data: one },
        { name: "c.webp", data: two },
        { name: "c.txt", data: "kept" },
      ]),
    });
    const data = await openDataset(root);
    expect(plain(data)).toEqual([{ id: "s.tar/c.png", captions: ["Kept."], split: undefined }]);
    expect(data.problems.counts).toEqual({ row: 2, caption: 0, image: 0, picture: 0 });
    expect(sentences(data, root)).toEqual([
      's.tar, sample "a": the shard has two members "a.png"; it is left out.',
      's.tar, sample "b": the shard has two members "b.txt"; it is left out.',
    ]);
  });

  test("names with further dots are fields of a sample; those that look like samples themselves are said", async () => {
    const image = await png(1);
    const root = await folderOf({
      "s.tar": tar([
        { name: "k.png", data: image },
        { name: "k.txt", data: "kept" },
        { name: "k.mask.png", data: image },
        { name: "photo.v2.png", data: image },
        { name: "photo.v2.txt", data: "lost" },
        { name: "alone.v2.png", data: image },
        { name: "k.v3.png", data: image },
        { name: "k.v3.txt", data: "lost, too" },
      ]),
    });
    const data = await openDataset(root);
    expect(plain(data)).toEqual([{ id: "s.tar/k.png", captions: ["Kept."], split: undefined }]);
    expect(data.problems.counts).toEqual({ row: 3, caption: 0, image: 0, picture: 0 });
    const why = 'in shards a key ends at the first "."; rename its members';
    expect(sentences(data, root)).toEqual([
      `s.tar, sample "photo.v2": ${why}.`,
      `s.tar, sample "alone.v2": ${why}.`,
      `s.tar, sample "k.v3": ${why}.`,
    ]);
  });

  test("shards beside other data: captions.jsonl comes first, images with .txt files only by the stated format", async () => {
    const image = await png(1);
    const shard = tar(sample("x", image, "of the shard"));
    const root = await folderOf({
      "listed/captions.jsonl": '{"file":"a.png","captions":["listed"]}',
      "listed/images/a.png": image,
      "listed/old.tar": shard,
      "beside/a.png": image,
      "beside/a.txt": "beside",
      "beside/old.tar": shard,
    });
    const captions = async (folder: string, format?: DatasetFormat) =>
      (await openDataset(join(root, folder), { format })).images.flatMap((one) => one.captions);
    expect(await captions("listed")).toEqual(["Listed."]);
    expect(await captions("listed", "webdataset")).toEqual(["Of the shard."]);
    expect(await captions("beside", "sidecar")).toEqual(["Beside."]);
    expect(await captions("beside", "webdataset")).toEqual(["Of the shard."]);
    expect(await failure(captions("beside"), root)).toBe(
      "bad-input: beside holds shards and images such as beside/a.png; state the format, webdataset or sidecar.",
    );
  });

  test("two shards of one name, and a pattern that matches other files", async () => {
    const shard = tar(sample("x", await png(1), "x"));
    const root = await folderOf({ "a/0.tar": shard, "b/0.tar": shard, "b/1.txt": "" });
    expect(await failure(openDataset(join(root, "*/0.tar")), root)).toBe(
      "bad-input: Two shards are called 0.tar; images are named by their shards, rename one.",
    );
    expect(await failure(openDataset(join(root, "b/*")), root)).toBe(
      "bad-input: b/* matches b/1.txt, which is no .tar file; only shards go by a pattern.",
    );
  });
});
