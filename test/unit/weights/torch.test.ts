import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { canonicalNames, describeMapper } from "../../../src/weights/names.js";
import { arrayEntry } from "../../../src/weights/node-safetensors.js";
import { openFile } from "../../../src/weights/node-source.js";
import { writeTorch } from "../../../src/weights/node-torch.js";
import { writeZip } from "../../../src/weights/node-zip.js";
import { memorySource } from "../../../src/weights/source.js";
import { openTorch } from "../../../src/weights/torch.js";
import { openZip } from "../../../src/weights/zip.js";
import { goldenPath, goldenTensors } from "../../goldens.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "clipcap-torch-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bytesOf = (text: string) => Buffer.from(text, "latin1");
const content = (name: string, bytes: Uint8Array) => ({ name, size: bytes.length, bytes: () => [bytes] });

/** A checkpoint with this pickle and these storages. */
async function checkpoint(pickle: string, storages: Record<string, Uint8Array> = {}): Promise<Uint8Array> {
  const path = join(folder, "made.pt");
  const data = Object.entries(storages).map(([key, bytes]) => content(`x/data/${key}`, bytes));
  await writeZip(path, [content("x/data.pkl", bytesOf(pickle)), ...data]);
  return readFileSync(path);
}
const open = (bytes: Uint8Array) => openTorch(memorySource("x.pt", bytes));

/** Pickle text of a tensor on storage "0" of `length` floats. */
function floatTensor(length: number, offset: number, shape: number[], strides: number[]): string {
  const int = (n: number) => `M${String.fromCharCode(n & 255, n >> 8)}`;
  const short = (s: string) => `\x8c${String.fromCharCode(s.length)}${s}`;
  const storage = `(${short("storage")}ctorch\nFloatStorage\n${short("0")}${short("cuda:0")}${int(length)}tQ`;
  const sizes = (values: number[]) => `(${values.map(int).join("")}t`;
  return `ctorch._utils\n_rebuild_tensor_v2\n(${storage}${int(offset)}${sizes(shape)}${sizes(strides)}\x89NtR`;
}
const dict = (items: Record<string, string>) =>
  `\x80\x02}(${Object.entries(items)
    .map(([key, value]) => `\x8c${String.fromCharCode(key.length)}${key}${value}`)
    .join("")}u.`;

describe("original checkpoints", () => {
  it.each(["mlp", "transformer"] as const)("the tiny %s one equals its safetensors twin", async (kind) => {
    const source = await openFile(goldenPath("tiny", `tiny-clipcap-${kind}`, "coco_prefix-009.pt"));
    const raw = await openTorch(source);
    expect(raw.tensors.get("gpt.transformer.h.0.attn.bias")).toMatchObject({ dtype: "U8", shape: [1, 1, 48, 48] });
    const file = await canonicalNames(raw);
    const twin = await canonicalNames(await goldenTensors("tiny", `tiny-clipcap-${kind}`, "model.safetensors"));
    expect([...file.tensors.keys()].sort()).toEqual([...twin.tensors.keys()].sort());
    expect([...file.tensors.keys()].some((name) => /lm_head|masked|\.attn\.bias|^gpt/.test(name))).toBe(false);
    for (const [name, info] of twin.tensors) {
      expect(file.tensors.get(name)!.shape).toEqual(info.shape);
      expect(Buffer.compare(await file.readBytes(name), await twin.readBytes(name))).toBe(0);
    }
    const sizes = { prefixLength: 4, clipWidth: 48, gptWidth: 64 };
    expect(describeMapper(file)).toEqual(
      kind === "mlp" ? { type: kind, ...sizes } : { type: kind, ...sizes, clipLength: 3, layers: 2, heads: 8 },
    );
    await source.close();
  });
});

describe("writing", () => {
  it("a checkpoint that is written is read back, with tied tensors on one storage", async () => {
    const path = join(folder, "written.pt");
    const values = new Float32Array([1, 2, 3, 4, 5, 6]);
    const entries = [
      arrayEntry({ name: "gpt.transformer.wte.weight", dtype: "F32", shape: [3, 2] }, values),
      arrayEntry({ name: "clip_project.s", dtype: "F16", shape: [] }, new Uint16Array([0x3c00])),
    ];
    await writeTorch(path, entries, new Map([["gpt.lm_head.weight", "gpt.transformer.wte.weight"]]));
    const source = await openFile(path);
    const zip = await openZip(source);
    expect([...zip.keys()]).toEqual([
      "archive/data.pkl",
      "archive/byteorder",
      "archive/data/0",
      "archive/data/1",
      "archive/version",
    ]);
    const file = await openTorch(source);
    expect([...file.tensors.keys()]).toEqual([...entries.map((e) => e.name), "gpt.lm_head.weight"]);
    expect(await file.readF32("gpt.lm_head.weight")).toEqual(values);
    expect(await file.readF32("clip_project.s")).toEqual(new Float32Array([1]));
    expect(await file.readF32("gpt.transformer.wte.weight", { rows: [1, 2] })).toEqual(new Float32Array([3, 4]));
    await source.close();
  });
});

describe("tensors", () => {
  const six = new Uint8Array(new Float32Array([0, 1, 2, 3, 4, 5]).buffer);

  it("reads transposed and offset views by rows and bytes", async () => {
    const file = await open(
      await checkpoint(
        dict({
          t: floatTensor(6, 0, [3, 2], [1, 3]),
          o: floatTensor(6, 2, [2, 2], [2, 1]),
          e: floatTensor(6, 0, [0, 4], [4, 1]),
        }),
        { 0: six },
      ),
    );
    expect([...(await file.readF32("t"))]).toEqual([0, 3, 1, 4, 2, 5]);
    expect([...(await file.readF32("t", { rows: [1, 3] }))]).toEqual([1, 4, 2, 5]);
    expect([...new Float32Array((await file.readBytes("t", 4, 12)).buffer)]).toEqual([3, 1, 4]);
    expect([...(await file.readF32("o"))]).toEqual([2, 3, 4, 5]);
    expect([...(await file.readF32("e"))]).toEqual([]);
  });

  it("finds the weights inside a training checkpoint", async () => {
    const inner = dict({ t: floatTensor(6, 0, [6], [1]) }).slice(2, -1);
    const file = await open(await checkpoint(dict({ epoch: "K\x05", state_dict: inner }), { 0: six }));
    expect([...file.tensors.keys()]).toEqual(["t"]);
  });

  it.each([
    ["beyond its storage", floatTensor(6, 1, [3, 2], [2, 1]), /reaches outside its 6 elements/],
    ["strides beyond its storage", floatTensor(6, 0, [2, 2], [9, 1]), /reaches outside/],
    ["expanded", floatTensor(6, 0, [900, 900], [0, 1]), /reaches outside/],
    ["expanded inside", floatTensor(6, 0, [900, 6], [0, 1]), /repeats its 6 elements/],
    ["storage shorter than it says", floatTensor(7, 0, [7], [1]), /data\/0 has 24 bytes instead of 28/],
    ["missing storage", floatTensor(6, 0, [6], [1]).replace("\x8c\x010", "\x8c\x019"), /data\/9 is missing/],
    ["not a storage", "ctorch._utils\n_rebuild_tensor_v2\n(NNNNNtR", /not a storage/],
    [
      "key of nested tuples",
      floatTensor(6, 0, [6], [1]).replace("\x8c\x010", `N${"\x85".repeat(100_000)}`),
      /not a storage/,
    ],
    ["rank mismatch", floatTensor(6, 0, [6], [1, 1]), /not a storage/],
  ])("refuses a tensor: %s", async (_, tensor, message) => {
    await expect(checkpoint(dict({ t: tensor }), { 0: six }).then(open)).rejects.toMatchObject({
      code: "bad-weights",
      message: expect.stringMatching(message),
    });
  });
});

describe("hostile pickles", () => {
  it.each([
    [
      "os.system",
      "\x80\x02cos\nsystem\n(\x8c\x04echotR.",
      /asks for the Python object "os\.system", and only plain tensors are read/,
    ],
    ["posix.system by STACK_GLOBAL", "\x80\x04\x8c\x05posix\x8c\x06system\x93.", /"posix\.system"/],
    ["builtins.eval", "\x80\x02cbuiltins\neval\n.", /"builtins\.eval"/],
    ["torch.load", "\x80\x02ctorch\nload\n.", /"torch\.load"/],
    ["prototype of the table", "\x80\x02cconstructor\nprototype\n.", /"constructor\.prototype"/],
    ["INST opcode", "\x80\x02(ios\nsystem\n.", /instruction 0x69/],
    ["OBJ opcode", "\x80\x02(o.", /instruction 0x6f/],
    ["NEWOBJ opcode", "\x80\x02ccollections\nOrderedDict\n)\x81.", /instruction 0x81/],
    ["EXT1 opcode", "\x80\x02\x82\x01.", /instruction 0x82/],
    ["calls a number", "\x80\x02K\x01)R.", /not a function/],
    ["builds a number", "\x80\x02K\x01}b.", /not a dictionary/],
    ["protocol 0", "(dp0\n.", /instruction 0x64/],
    ["protocol 9", "\x80\x09N.", /protocol 9/],
    ["empty", "", /ends in the middle/],
    ["no STOP", "\x80\x02N", /ends in the middle/],
    ["text longer than the file", "\x80\x02X\xff\xff\xff\x7fab.", /ends in the middle/],
    ["empty stack", "\x80\x02.", /stack is empty/],
    ["unknown memo", "\x80\x02h\x05.", /never made/],
    ["open brackets without end", `\x80\x02${"(".repeat(1000)}.`, /nested too deeply/],
    [
      "a name of nested tuples",
      `\x80\x04N${"\x85".repeat(200_000)}\x8c\x01a\x93.`,
      /names an object by something else/,
    ],
    ["closing without opening", "\x80\x02t.", /never opened/],
    ["an integer above 2^53", "\x80\x02\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", /above 2\^53/],
    ["no dictionary", "\x80\x02K\x01.", /no dictionary of tensors/],
    ["an empty dictionary", "\x80\x02}.", /no dictionary of tensors/],
  ])("%s", async (_, pickle, message) => {
    await expect(checkpoint(pickle).then(open)).rejects.toMatchObject({
      code: "bad-weights",
      message: expect.stringMatching(message),
    });
  });
});

describe("hostile zips", () => {
  const stored = () => checkpoint(dict({}), { 0: new Uint8Array(100) });
  /** Offset of the n-th record with this signature. */
  const find = (bytes: Uint8Array, signature: string, nth = 0) => {
    let at = -1;
    for (let i = 0; i <= nth; i++) at = Buffer.from(bytes).indexOf(bytesOf(signature), at + 1);
    return at;
  };
  const CENTRAL = "PK\x01\x02";
  const patched = async (patch: (view: DataView, bytes: Uint8Array) => void) => {
    const bytes = new Uint8Array(await stored());
    patch(new DataView(bytes.buffer), bytes);
    return bytes;
  };

  it.each<[string, (view: DataView, bytes: Uint8Array) => void, RegExp]>([
    ["overlapping entries", (v, b) => v.setUint32(find(b, CENTRAL, 1) + 42, 10, true), /overlaps/],
    ["two entries at one place", (v, b) => v.setUint32(find(b, CENTRAL, 1) + 42, 0, true), /overlaps/],
    [
      "an entry over the directory",
      (v, b) => {
        v.setUint32(find(b, CENTRAL, 1) + 20, 9999, true);
        v.setUint32(find(b, CENTRAL, 1) + 24, 9999, true);
      },
      /overlaps/,
    ],
    ["a stored bomb", (v, b) => v.setUint32(find(b, CENTRAL, 1) + 24, 2 ** 31, true), /has two sizes/],
    ["a compressed pickle", (v, b) => v.setUint16(find(b, CENTRAL) + 10, 8, true), /compressed or encrypted/],
    ["an encrypted pickle", (v, b) => v.setUint16(find(b, CENTRAL) + 8, 1, true), /compressed or encrypted/],
    [
      "zip64 sizes that are missing",
      (v, b) => v.setUint32(find(b, CENTRAL, 1) + 42, 0xffffffff, true),
      /lacks its zip64 sizes/,
    ],
    [
      "a directory outside the file",
      (v, b) => v.setUint32(find(b, "PK\x05\x06") + 16, 2 ** 31, true),
      /directory lies outside/,
    ],
    ["a directory that is too large", (v, b) => v.setUint32(find(b, "PK\x05\x06") + 12, 2 ** 31, true), /announces/],
    ["too many entries", (v, b) => v.setUint16(find(b, "PK\x05\x06") + 10, 3, true), /directory is damaged/],
    ["no end record", (v, b) => v.setUint32(find(b, "PK\x05\x06"), 0, true), /end record is missing/],
    ["no local header", (v) => v.setUint32(0, 0, true), /no local header/],
    ["a local header that runs over", (v) => v.setUint16(28, 0xffff, true), /overlaps/],
  ])("%s", async (_, patch, message) => {
    await expect(patched(patch).then(open)).rejects.toMatchObject({
      code: "bad-weights",
      message: expect.stringMatching(message),
    });
  });

  it("refuses two entries of one name, files cut short, text and other byte orders", async () => {
    const path = join(folder, "twice.zip");
    await writeZip(path, [content("a", new Uint8Array(1)), content("a", new Uint8Array(1))]);
    await expect(openZip(memorySource("z", readFileSync(path)))).rejects.toThrow(/"a" occurs twice/);
    const bytes = await stored();
    for (const size of [0, 1, 21, 22, bytes.length - 1]) {
      await expect(open(bytes.subarray(0, size))).rejects.toThrow(/end record is missing/);
    }
    await writeZip(path, [content("r/data.pkl", bytesOf(dict({}))), content("r/byteorder", bytesOf("big"))]);
    await expect(open(readFileSync(path))).rejects.toThrow(/byte order is "big"/);
    await writeZip(path, [content("a/b/data.pkl", bytesOf(dict({})))]);
    await expect(open(readFileSync(path))).rejects.toThrow(/0 entries named data.pkl/);
  });

  it("reads zip64 records", async () => {
    const bytes = Buffer.from(await stored());
    const end = find(bytes, "PK\x05\x06");
    const [size, start] = [bytes.readUInt32LE(end + 12), bytes.readUInt32LE(end + 16)];
    const record = Buffer.alloc(56 + 20);
    record.writeUInt32LE(0x06064b50, 0);
    for (const [at, value] of [
      [4, 44],
      [24, 2],
      [32, 2],
      [40, size],
      [48, start],
    ] as const)
      record.writeBigUInt64LE(BigInt(value), at);
    record.writeUInt32LE(0x07064b50, 56);
    record.writeBigUInt64LE(BigInt(end), 64);
    const tail = Buffer.from(bytes.subarray(end));
    tail.writeUInt32LE(0xffffffff, 16);
    tail.writeUInt16LE(0xffff, 10);
    const zip = await openZip(memorySource("z", Buffer.concat([bytes.subarray(0, end), record, tail])));
    expect([...zip.keys()]).toEqual(["x/data.pkl", "x/data/0"]);
  });
});
