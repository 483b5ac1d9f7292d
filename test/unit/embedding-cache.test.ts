import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddingCache, type EmbeddingEntry } from "../../src/data/node-embedding-cache.js";

const MODEL = { fingerprint: "model-a", width: 3 };
const roots: string[] = [];
let folder: string;

beforeEach(async () => {
  roots.push(await mkdtemp(join(tmpdir(), "clipcap-cache-")));
  folder = join(roots.at(-1)!, "cache");
});
afterAll(() => Promise.all(roots.map((root) => rm(root, { recursive: true }))));

const entry = (id: string, value: number, stamp = "s"): EmbeddingEntry => ({
  id,
  stamp,
  embedding: Float32Array.of(value, value + 0.5, -value),
});
const open = (model = MODEL) => EmbeddingCache.open(folder, model);
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => "it did not fail",
    (error) =>
      `${error.code}: ${error.message.replaceAll(`${folder}/`, "").replace(/\d{6}-[0-9a-f]{8}\.rows/, "SHARD")}`,
  );

/** The first number, which stands behind the header. */
function withNaN(shard: Buffer): Buffer {
  const copy = Buffer.from(shard);
  copy.writeFloatLE(Number.NaN, 8 + Number(shard.readBigUInt64LE(0)));
  return copy;
}

describe("EmbeddingCache", () => {
  test("what was added is there after opening again, to the bit", async () => {
    const cache = await open();
    expect(cache.size).toBe(0);
    await cache.add([]);
    await cache.add([entry("a", 0.1), entry("b/ü.jpg", 2)]);
    await cache.add([entry("c", 3)]);
    for (const each of [cache, await open()]) {
      expect(each.size).toBe(3);
      expect(each.get("b/ü.jpg", "s")).toEqual(entry("", 2).embedding);
      expect(each.get("a", "s")).toEqual(entry("", 0.1).embedding);
      expect(each.get("d", "s")).toBeUndefined();
    }
    expect((await readdir(folder)).length).toBe(2);
  });

  test("an image that changed is unknown until it is added again; then only the new embedding counts", async () => {
    const cache = await open();
    await cache.add([entry("a", 1, "old"), entry("b", 2)]);
    expect(cache.get("a", "new")).toBeUndefined();
    await cache.add([entry("a", 7, "new")]);
    for (const each of [cache, await open()]) {
      expect(each.get("a", "old")).toBeUndefined();
      expect(each.get("a", "new")![0]).toBe(7);
      expect(each.table()).toEqual({ ids: ["a", "b"], vectors: Float32Array.of(7, 7.5, -7, 2, 2.5, -2) });
    }
  });

  test("of an id that occurs twice in one shard the later row counts", async () => {
    const cache = await open();
    await cache.add([entry("a", 1, "old"), entry("b", 2), entry("a", 7, "new"), entry("c", 3)]);
    for (const each of [cache, await open()]) {
      expect([each.get("a", "old"), each.row("c", "s")]).toEqual([undefined, 2]);
      expect(each.table()).toEqual({
        ids: ["a", "b", "c"],
        vectors: Float32Array.of(7, 7.5, -7, 2, 2.5, -2, 3, 3.5, -3),
      });
    }
  });

  test("compacting leaves one shard that says the same, and is followed by further ones", async () => {
    const cache = await open();
    for (let i = 0; i < 12; i++) await cache.add([entry(`${i % 8}`, i, `${i}`)]);
    const before = cache.table();
    await cache.compact();
    expect((await readdir(folder)).length).toBe(1);
    expect(cache.table()).toMatchObject(before);
    expect((await open()).table()).toMatchObject(before);
    await cache.add([entry("1", 100)]);
    expect((await open()).get("1", "s")![0]).toBe(100);
    expect((await open()).get("0", "8")![0]).toBe(8);
  });

  test("two processes at once lose nothing", async () => {
    const [one, two] = [await open(), await open()];
    await Promise.all([one.add([entry("a", 1)]), two.add([entry("b", 2)])]);
    await one.compact();
    await two.add([entry("c", 3)]);
    expect((await open()).table().ids.toSorted()).toEqual(["a", "b", "c"]);
  });

  test("opening while another compacts sees everything", async () => {
    const writer = await open();
    for (let i = 0; i < 60; i++) await writer.add([entry(`${i}`, i)]);
    let compacting = true;
    const compacted = writer.compact().then(() => {
      compacting = false;
    });
    while (compacting) {
      for (const { size } of await Promise.all([open(), open(), open()])) expect(size).toBe(60);
    }
    await compacted;
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("%d is refused and nothing is written", async (value) => {
    const cache = await open();
    const bad = { ...entry("bad.jpg", 1), embedding: Float32Array.of(1, value, 2) };
    expect(await failure(cache.add([entry("a", 1), bad]))).toBe(
      `bad-input: The embedding of bad.jpg has ${value} at position 1; it was not kept. Check the model's weights.`,
    );
    expect([cache.size, (await open()).size]).toEqual([0, 0]);
  });

  test("another width or another model says so", async () => {
    const cache = await open();
    expect(await failure(cache.add([{ ...entry("a", 1), embedding: new Float32Array(4) }]))).toBe(
      "bad-input: The embedding of a has 4 numbers instead of 3.",
    );
    await cache.add([entry("a", 1)]);
    expect(await failure(open({ ...MODEL, fingerprint: "b" }))).toBe(
      "bad-input: SHARD.safetensors holds embeddings of another model; give another folder or delete it.",
    );
    expect(await failure(open({ ...MODEL, width: 4 }))).toBe(
      "bad-input: SHARD.safetensors holds embeddings of shape [1,3], not of 4 numbers each; delete it, and what it held is embedded again.",
    );
  });

  test("a damaged shard is named, whatever the damage", async () => {
    await (await open()).add([entry("a", 1), entry("b", 2)]);
    const path = join(folder, (await readdir(folder))[0]!);
    const whole = await readFile(path);
    const cases: [what: string, damage: () => Promise<void>][] = [
      ["cut short", () => truncate(path, whole.length - 4)],
      ["NaN", () => writeFile(path, withNaN(whole))],
      ["do not fit", () => writeFile(path, Buffer.from(whole.toString("latin1").replace('"a",', "    "), "latin1"))],
      ["no safetensors file", () => writeFile(path, "")],
    ];
    for (const [what, damage] of cases) {
      await writeFile(path, whole);
      await damage();
      const message = await failure(open());
      expect(message).toMatch(
        /^bad-weights: SHARD.safetensors is damaged \([^()]+\); delete it, and what it held is embedded again\.$/,
      );
      expect(message).toContain(what);
    }
  });

  test("killed at any moment, the folder opens and holds every shard that was reported", async () => {
    const writer = `
      import { EmbeddingCache } from ${JSON.stringify(new URL("../../src/data/node-embedding-cache.ts", import.meta.url).href)};
      const cache = await EmbeddingCache.open(${JSON.stringify(folder)}, { fingerprint: "model-a", width: 3 });
      for (let i = 0; ; i++) {
        await cache.add([{ id: String(i), stamp: "s", embedding: Float32Array.of(i, i, i) }]);
        if (i % 7 === 6) await cache.compact();
        console.log(i);
      }`;
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", writer]);
      let said = "";
      await new Promise<void>((resolve) => {
        child.stdout.on("data", (text) => {
          said += text;
          if (said.split("\n").length > 20 + 9 * round) resolve();
        });
        child.on("exit", () => resolve());
      });
      child.kill("SIGKILL");
      await new Promise((resolve) =>
        child.exitCode === null && child.signalCode === null ? child.on("exit", resolve) : resolve(0),
      );
      const last = Number(said.trim().split("\n").at(-1));
      expect(last).toBeGreaterThan(18);
      const cache = await open();
      for (let i = 0; i <= last; i++) expect(cache.get(String(i), "s")).toEqual(Float32Array.of(i, i, i));
    }
  }, 60_000);
});
