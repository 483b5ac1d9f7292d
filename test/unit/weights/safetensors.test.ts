import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ClipCapError } from "../../../src/runtime/errors.js";
import { arrayEntry, type TensorEntry, writeSafetensors } from "../../../src/weights/node-safetensors.js";
import { openFile } from "../../../src/weights/node-source.js";
import { openSafetensors } from "../../../src/weights/safetensors.js";
import { blobSource, memorySource } from "../../../src/weights/source.js";
import type { DType } from "../../../src/weights/tensor-file.js";
import { goldenPath } from "../../goldens.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "clipcap-safetensors-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file with this header text, then `data` bytes. */
function fileBytes(header: string | Uint8Array, data: number, announced?: bigint): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, announced ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}
const open = (bytes: Uint8Array) => openSafetensors(memorySource("x.safetensors", bytes));
const tensor = (dtype: string, shape: string, begin: number | string, end: number | string) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

describe("hostile headers are refused with the reason", () => {
  const a = tensor("F32", "[2]", 0, 8);
  const cases: [what: string, bytes: Uint8Array, message: RegExp][] = [
    ["empty file", new Uint8Array(0), /only 0 bytes/],
    ["7 bytes", new Uint8Array(7), /only 7 bytes/],
    ["length above the file", fileBytes("{}", 0, 3n), /cut short inside its header \(10 of at least 11 bytes\)/],
    ["length above 100 MB", fileBytes("{}", 0, 100_000_001n), /header of 100000001 bytes/],
    ["length 2^64 - 1", fileBytes("{}", 0, 2n ** 64n - 1n), /header of 18446744073709551615 bytes/],
    ["empty header", fileBytes("", 0), /does not start with "{"/],
    ["leading space", fileBytes(' {"a":1}', 0), /does not start with "{"/],
    ["array", fileBytes("[]", 0), /does not start with "{"/],
    ["not JSON", fileBytes("{a:1}", 0), /not JSON/],
    ["NUL padding", fileBytes("{}\0\0", 0), /not JSON/],
    ["NUL in a name", fileBytes(`{"a\0":${a}}`, 8), /not JSON/],
    ["not UTF-8", fileBytes(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 0), /not JSON in UTF-8/],
    ["duplicate tensor", fileBytes(`{"a":${a},"a":${a}}`, 8), /"a" occurs twice/],
    ["duplicate by escape", fileBytes(`{"a":${a},"\\u0061":${a}}`, 8), /"a" occurs twice/],
    [
      "duplicate field",
      fileBytes(`{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8),
      /"dtype" occurs twice/,
    ],
    ["duplicate metadata", fileBytes(`{"__metadata__":{"k":"1","k":"2"}}`, 0), /"k" occurs twice/],
    ["metadata of numbers", fileBytes(`{"__metadata__":{"k":1}}`, 0), /not a map of strings/],
    ["tensor is a number", fileBytes(`{"a":1}`, 0), /not an object/],
    ["unknown type", fileBytes(`{"a":${tensor("F31", "[2]", 0, 8)}}`, 8), /unknown type "F31"/],
    ["type from the prototype", fileBytes(`{"a":${tensor("toString", "[2]", 0, 8)}}`, 8), /unknown type/],
    ["no shape", fileBytes(`{"a":{"dtype":"F32","data_offsets":[0,8]}}`, 8), /no shape/],
    ["negative size", fileBytes(`{"a":${tensor("F32", "[-2]", 0, 8)}}`, 8), /impossible shape \[-2\]/],
    ["fractional size", fileBytes(`{"a":${tensor("F32", "[0.5,4]", 0, 8)}}`, 8), /impossible shape/],
    ["size 2^53", fileBytes(`{"a":${tensor("U8", "[9007199254740992]", 0, 8)}}`, 8), /impossible shape/],
    ["product above 2^53", fileBytes(`{"a":${tensor("U8", "[94906267,94906267]", 0, 8)}}`, 8), /impossible shape/],
    ["product hidden by 0", fileBytes(`{"a":${tensor("U8", "[0,94906267,94906267]", 0, 0)}}`, 0), /impossible shape/],
    ["bytes above 2^53", fileBytes(`{"a":${tensor("I64", "[2251799813685248]", 0, 8)}}`, 8), /impossible shape/],
    ["negative offset", fileBytes(`{"a":${tensor("F32", "[2]", -8, 0)}}`, 8), /impossible data_offsets/],
    ["one offset", fileBytes(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}}`, 8), /impossible data_offsets/],
    ["offset 1e300", fileBytes(`{"a":${tensor("F32", "[2]", 0, "1e300")}}`, 8), /impossible data_offsets/],
    ["reversed offsets", fileBytes(`{"a":${tensor("F32", "[2]", 8, 0)}}`, 8), /span -8/],
    [
      "too few bytes for the type",
      fileBytes(`{"a":${tensor("F32", "[2]", 0, 4)}}`, 4),
      /needs 8 bytes but its data_offsets span 4/,
    ],
    ["overlap", fileBytes(`{"a":${a},"b":${tensor("F32", "[2]", 4, 12)}}`, 12), /"b" overlaps/],
    ["same bytes twice", fileBytes(`{"a":${a},"b":${a}}`, 8), /"b" overlaps/],
    ["hole", fileBytes(`{"a":${a},"b":${tensor("F32", "[2]", 12, 20)}}`, 20), /"b" leaves a hole/],
    ["hole at the start", fileBytes(`{"a":${tensor("F32", "[2]", 4, 12)}}`, 12), /"a" leaves a hole/],
    ["file cut short", fileBytes(`{"a":${a}}`, 7), /cut short \(\d+ of \d+ bytes\)/],
    ["bytes after the last tensor", fileBytes(`{"a":${a}}`, 9), /1 bytes follow/],
  ];
  it.each(cases)("%s", async (_, bytes, message) => {
    const error = await open(bytes).then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(ClipCapError);
    expect(error).toMatchObject({ code: "bad-weights", message: expect.stringMatching(message) });
  });

  it("accepts what the format allows: empty tensors, scalars, spaces at the end, odd names", async () => {
    const header = `{"e":${tensor("F32", "[0,5]", 4, 4)},"s":${tensor("F32", "[]", 0, 4)},"__proto__":${tensor("U8", "[1]", 4, 5)}}   `;
    const file = await open(fileBytes(header, 5));
    expect([...file.tensors.keys()].sort()).toEqual(["__proto__", "e", "s"]);
    expect(await file.readF32("e")).toEqual(new Float32Array(0));
    expect(await file.readF32("s")).toEqual(new Float32Array(1));
    await expect(file.readF32("__proto__")).rejects.toThrow(/has type U8; weights must be/);
    await expect(file.readF32("toString")).rejects.toThrow(/no tensor "toString"/);
  });

  it("never throws anything but a ClipCapError on arbitrary bytes", async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.json().map((text) => fileBytes(text, 8)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (data) => {
        await open(data).catch((error) => expect(error).toBeInstanceOf(ClipCapError));
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});

describe("round trips", () => {
  const dtype = fc.constantFrom<DType>("F32", "F16", "BF16", "I64", "I32", "U8", "I8");
  const widths = { F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, U8: 1, I8: 1 } as Record<DType, number>;
  const spec = fc.record({ dtype, shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }), seed: fc.nat() });

  it("gives back every byte, name, type, shape and metadata, whatever they are", async () => {
    const path = join(folder, "random.safetensors");
    const names = fc.string({ unit: "grapheme", maxLength: 12 }).filter((name) => name !== "__metadata__");
    const tensors = fc.dictionary(names, spec, { maxKeys: 8, noNullPrototype: true });
    const metadata = fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), { maxKeys: 3 });
    await fc.assert(
      fc.asyncProperty(tensors, metadata, async (specs, texts) => {
        const contents = new Map<string, Uint8Array>();
        const entries = Object.entries(specs).map(([name, { dtype, shape, seed }]) => {
          const size = shape.reduce((a, b) => a * b, 1) * widths[dtype];
          contents.set(
            name,
            Uint8Array.from({ length: size }, (_, i) => (seed + i * 31) & 255),
          );
          return arrayEntry({ name, dtype, shape }, contents.get(name)!);
        });
        await writeSafetensors(path, entries, texts);
        const source = await openFile(path);
        const file = await openSafetensors(source);
        expect({ ...file.metadata }).toEqual({ ...texts });
        expect(file.tensors.size).toBe(entries.length);
        for (const entry of entries) {
          const info = file.tensors.get(entry.name)!;
          expect([info.dtype, info.shape]).toEqual([entry.dtype, entry.shape]);
          expect(info.byteOffset % widths[info.dtype]).toBe(0);
          expect([...(await file.readBytes(entry.name))]).toEqual([...contents.get(entry.name)!]);
        }
        await source.close();
      }),
      { seed: 2, numRuns: 100 },
    );
  });

  it("writes the same bytes in whatever order the tensors come", async () => {
    const entries = ["b", "a", "10", "9"].map((name, i) =>
      arrayEntry(
        { name, dtype: i < 2 ? "F16" : "F32", shape: [2] },
        i < 2 ? new Uint16Array([i, 2]) : new Float32Array([i, 2]),
      ),
    );
    await writeSafetensors(join(folder, "1.safetensors"), entries, { b: "2", a: "1" });
    await writeSafetensors(join(folder, "2.safetensors"), [...entries].reverse(), { a: "1", b: "2" });
    const bytes = readFileSync(join(folder, "1.safetensors"));
    expect(readFileSync(join(folder, "2.safetensors")).equals(bytes)).toBe(true);
    const header = bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE()));
    expect(header.length % 8).toBe(0);
    expect(header.toString().trimEnd()).toBe(
      '{"__metadata__":{"a":"1","b":"2"},"10":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},' +
        '"9":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"a":{"dtype":"F16","shape":[2],"data_offsets":[16,20]},' +
        '"b":{"dtype":"F16","shape":[2],"data_offsets":[20,24]}}',
    );
  });

  it("the npm package safetensors reads what was written, and a file from Python as this reader does", async () => {
    const path = join(folder, "peer.safetensors");
    const values = new Float32Array([1, -2, 3.5, 0, 1e-30, 7]);
    await writeSafetensors(path, [arrayEntry({ name: "w", dtype: "F32", shape: [2, 3] }, values)]);
    const written = peerRead(readFileSync(path));
    expect(written.metadata.get("w")).toMatchObject({ dtype: "F32", shape: [2, 3] });
    expect([...written.getTensor("w")]).toEqual([...new Uint8Array(values.buffer)]);

    const python = readFileSync(goldenPath("tiny", "gpt2.safetensors"));
    const file = await open(python);
    const theirs = peerRead(python);
    expect(file.tensors.size).toBeGreaterThan(30);
    expect([...theirs.metadata.keys()].sort()).toEqual([...file.tensors.keys()].sort());
    for (const [name, info] of file.tensors) {
      expect(theirs.metadata.get(name)).toMatchObject({ dtype: info.dtype, shape: info.shape });
      expect(Buffer.compare(theirs.getTensor(name), await file.readBytes(name))).toBe(0);
    }
  });
});

describe("reading", () => {
  it("reads rows and byte ranges, from memory, Blob and file alike", async () => {
    const path = join(folder, "rows.safetensors");
    const halves = new Uint16Array([0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600]); // 1 2 3 4 5 6
    await writeSafetensors(path, [arrayEntry({ name: "h", dtype: "F16", shape: [3, 2] }, halves)]);
    const source = await openFile(path);
    const bytes = readFileSync(path);
    for (const from of [source, memorySource("m", bytes), blobSource(new Blob([bytes]))]) {
      const file = await openSafetensors(from);
      expect([...(await file.readF32("h"))]).toEqual([1, 2, 3, 4, 5, 6]);
      expect([...(await file.readF32("h", { rows: [1, 3] }))]).toEqual([3, 4, 5, 6]);
      expect([...(await file.readF32("h", { rows: [2, 2] }))]).toEqual([]);
      expect([...(await file.readBytes("h", 2, 4))]).toEqual([0x00, 0x40, 0x00, 0x42]);
      await expect(file.readF32("h", { rows: [2, 4] })).rejects.toThrow(
        /Rows 2 to 4 are outside "h", which has 3 rows/,
      );
      await expect(file.readBytes("h", 10, 4)).rejects.toThrow(/Bytes 10 to 14 are outside "h"/);
    }
    await source.close();
  });

  it("reads a 3 GB file with little memory", async () => {
    const path = join(folder, "sparse.safetensors");
    const rows = 3 * 2 ** 20;
    writeFileSync(path, fileBytes(`{"big":${tensor("F32", `[${rows},256]`, 0, rows * 1024)}}`, 0));
    truncateSync(path, readFileSync(path).length + rows * 1024);
    const before = process.memoryUsage().rss;
    const source = await openFile(path);
    const file = await openSafetensors(source);
    expect(source.size).toBeGreaterThan(3e9);
    expect(await file.readF32("big", { rows: [rows - 1, rows] })).toEqual(new Float32Array(256));
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20);
    await source.close();
    await expect(openFile(folder)).rejects.toThrow(/not a regular file|is a folder/);
    await expect(openFile(join(folder, "none"))).rejects.toMatchObject({ code: "not-found" });
  });
});

describe("writing atomically", () => {
  const spec = { name: "w", dtype: "F32" as const, shape: [4] };
  const failing = (bytes: TensorEntry["bytes"]): TensorEntry => ({ ...spec, bytes });
  const path = () => join(folder, "atomic", "kept.safetensors");

  it("keeps the old file and leaves no temporary file when a producer fails, is short, or the signal fires", async () => {
    await writeSafetensors(path(), [arrayEntry(spec, new Float32Array(4))]);
    const old = readFileSync(path());
    const expectRefused = async (entry: TensorEntry, message: RegExp, signal?: AbortSignal) => {
      await expect(writeSafetensors(path(), [entry], {}, { signal })).rejects.toThrow(message);
      expect(readdirSync(join(folder, "atomic"))).toEqual(["kept.safetensors"]);
      expect(readFileSync(path()).equals(old)).toBe(true);
    };
    await expectRefused(
      failing(() => [new Uint8Array(15)]),
      /"w" has 15 bytes, but F32 \[4\] needs 16/,
    );
    const broken = async function* () {
      yield new Uint8Array(8);
      throw new ClipCapError("network", "The line broke.");
    };
    await expectRefused(failing(broken), /The line broke/);
    const abort = new AbortController();
    const aborting = function* () {
      yield new Uint8Array(8);
      abort.abort();
      yield new Uint8Array(8);
    };
    await expectRefused(failing(aborting), /was cancelled; nothing was left behind/, abort.signal);
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const out = function* () {
      yield new Uint8Array(8);
      throw full;
    };
    await expectRefused(failing(out), /the disk is full; free some space/);
  });

  it("refuses two tensors of one name", async () => {
    const entry = arrayEntry(spec, new Float32Array(4));
    await expect(writeSafetensors(path(), [entry, entry])).rejects.toThrow(/cannot both be called "w"/);
  });
});

interface PeerFile {
  readonly metadata: ReadonlyMap<string, { dtype: string; shape: number[] }>;
  getTensor(name: string): Uint8Array;
}

/** The npm package safetensors; it cannot read files with metadata. */
function peerRead(bytes: Uint8Array): PeerFile {
  const { SafeTensor } = createRequire(import.meta.url)("safetensors") as {
    SafeTensor: new (b: Uint8Array) => PeerFile;
  };
  return new SafeTensor(new Uint8Array(bytes));
}
