import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { clipcap, picture, ROOT, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();
const results = await temporaryFolder();
const photos = join(folder, "photos");
const names = ["0.png", "1.png", "2.png", "3.png", "4.png"];

beforeAll(async () => {
  for (const [i, name] of names.entries()) await picture(join(photos, name), i * 40);
});

/** The embeddings and names in a file, read by hand. */
async function readEmbeddings(path: string) {
  const bytes = await readFile(path);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const { __metadata__: metadata, embeddings } = JSON.parse(bytes.toString("utf8", 8, start));
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length));
  return { files: JSON.parse(metadata.files), metadata, embeddings, values };
}

describe("clipcap embed", () => {
  it("prints a JSON line per image; --normalize scales to length 1", async () => {
    const [plain, normalized] = await Promise.all([
      clipcap(["embed", photos]),
      clipcap(["embed", photos, "--normalize", "--batch", "2"]),
    ]);
    const raw = plain.lines.map((line) => JSON.parse(line));
    const unit = normalized.lines.map((line) => JSON.parse(line));
    expect(raw.map((row) => row.file)).toEqual(names.map((name) => join(photos, name)));
    raw.forEach(({ embedding }, i) => {
      const length = Math.hypot(...embedding);
      expect(embedding).toHaveLength(256);
      expect(Math.hypot(...unit[i].embedding)).toBeCloseTo(1, 5);
      for (let c = 0; c < 256; c++) expect(unit[i].embedding[c]).toBeCloseTo(embedding[c] / length, 4);
    });
  });

  it("writes the images of a list to a file, and leaves out those that are not there", async () => {
    const data = join(folder, "captions.jsonl");
    const lines = ["3.png", "gone.png", "0.png"].map((file) => JSON.stringify({ file, split: "train", captions: [] }));
    await writeFile(data, `${lines.join("\n")}\n`);
    const out = join(results, "new/list.safetensors");
    const ran = await clipcap(["embed", "--data", data, "--images", photos, "--out", out, "--json"]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toContain(`${data}, line 2: the image "gone.png" does not exist`);
    expect(JSON.parse(ran.stdout)).toEqual({ out, images: 2, width: 256 });
    const { files, embeddings, values, metadata } = await readEmbeddings(out);
    expect(files).toEqual(["3.png", "0.png"]);
    expect(embeddings).toMatchObject({ dtype: "F32", shape: [2, 256] });
    expect(values).toHaveLength(2 * 256);
    expect(metadata).toMatchObject({ model: "flickr8k-small", normalized: "false" });
  });

  it("says what is wrong in a list, and embeds the rest", async () => {
    const data = join(folder, "bad.jsonl");
    await writeFile(data, '{"file": "0.png"}\n{"file": "../../secret.png"}\n{"file": 3}\n{\n');
    const ran = await clipcap(["embed", "--data", data, "--images", photos]);
    expect(ran.exitCode).toBe(1);
    expect(ran.lines.map((line) => JSON.parse(line).file)).toEqual(["0.png"]);
    expect(ran.stderr).toContain(`${data}, line 2: "../../secret.png" is no path inside the folder of images`);
    expect(ran.stderr).toContain(`${data}, line 3: "file" must be the name of an image, not 3`);
    expect(ran.stderr).toContain(`${data}, line 4: "{" is not JSON`);
  });

  it("takes the formats of data sets, with the images beside them", async () => {
    const data = join(folder, "photos", "table.csv");
    await writeFile(data, "image,caption\n4.png,a square\n1.png,a circle\n4.png,again\n");
    const ran = await clipcap(["embed", "--data", data, "--format", "csv"]);
    expect(ran.exitCode, ran.stderr).toBe(0);
    expect(ran.lines.map((line) => JSON.parse(line).file)).toEqual(["4.png", "1.png"]);
  });

  it("says once that the folder of the images is none", async () => {
    const data = join(folder, "two.jsonl");
    await writeFile(data, '{"file": "0.png"}\n{"file": "1.png"}\n');
    const ran = await clipcap(["embed", "--data", data, "--images", join(folder, "none")]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toMatch(/^clipcap: .*none is no folder of images; check the path\.?\n?$/);
  });

  it("a full disk: one sentence, and nothing is left behind", async () => {
    const before = await readdir(results);
    const ran = await clipcap(["embed", photos, "--out", join(results, "full.safetensors")], {
      preload: join(ROOT, "test/e2e/faults.ts"),
      env: { CLIPCAP_FAULT: "full-disk" },
    });
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toContain("full.safetensors: the disk is full; free some space and run again");
    expect(await readdir(results)).toEqual(before);
  });

  it("knows before it begins that the result cannot be written", async () => {
    const [folderThere, fileAbove] = await Promise.all([
      clipcap(["embed", photos, "--out", results]),
      clipcap(["embed", photos, "--out", join(photos, "0.png", "x.safetensors")]),
    ]);
    for (const ran of [folderThere, fileAbove]) expect(ran.exitCode).toBe(1);
    expect(folderThere.stderr).toContain("is a folder; give a file");
    expect(fileAbove.stderr).toContain("0.png is no folder; give another path");
  });
});

describe("clipcap doctor", () => {
  it("finds everything on a machine where captioning works, and takes the software driver when told to", async () => {
    const ran = await clipcap(["doctor", "--json", "--device", "cpu"]);
    expect(ran.exitCode, ran.stdout + ran.stderr).toBe(0);
    const { ok, checks } = JSON.parse(ran.stdout);
    expect(ok).toBe(true);
    const of = (name: string) => checks.find((check: { name: string }) => check.name === name);
    expect(of("Adapter").data).toMatchObject({ isCpu: true, lanes: expect.any(Number) });
    expect(of("Arithmetic").data.map((test: { op: string }) => test.op)).toEqual(["matmul", "layer norm", "attention"]);
    expect(of("Model").data.caption).toMatch(/^A .*\.$/);
  });
});
