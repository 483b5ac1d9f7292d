// The part of the zip format (PKWARE APPNOTE 6.3) that torch.save writes: stored entries, zip64 where needed.
import { ClipCapError } from "../runtime/errors.js";
import type { ByteSource } from "./source.js";

/** A checkpoint has one entry per tensor; the largest models have some thousands. */
const MAX_ENTRIES = 100_000;
/** 100,000 entries with names of 500 bytes. */
const MAX_DIRECTORY_BYTES = 64 * 2 ** 20;

const END = { signature: 0x06054b50, bytes: 22, maxComment: 0xffff };
const END64_LOCATOR = { signature: 0x07064b50, bytes: 20 };
const END64 = { signature: 0x06064b50, bytes: 56 };
const CENTRAL = { signature: 0x02014b50, bytes: 46 };
const LOCAL = { signature: 0x04034b50, bytes: 30 };

/** An entry that is stored without compression: a range of the file. */
export interface ZipEntry {
  readonly name: string;
  /** Bytes of content. */
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

interface Directory {
  readonly start: number;
  readonly bytes: number;
  readonly count: number;
}

interface CentralEntry {
  readonly name: string;
  readonly nameBytes: number;
  readonly size: number;
  readonly stored: boolean;
  readonly headerOffset: number;
}

const bad = (file: string, what: string): ClipCapError =>
  new ClipCapError("bad-weights", `${file} is not a usable zip file: ${what}.`);

/**
 * Reads the directory of a zip file. Entries must not overlap each other or the directory, so the content can never be
 * larger than the file; compressed or encrypted entries are listed but refuse to be read.
 * @throws ClipCapError `bad-weights`
 */
export async function openZip(source: ByteSource): Promise<ReadonlyMap<string, ZipEntry>> {
  const directory = await findDirectory(source);
  const entries = await readDirectory(source, directory);
  const sorted = [...entries.values()].sort((a, b) => a.headerOffset - b.headerOffset);
  const limits = new Map<string, number>();
  sorted.forEach((entry, i) => {
    const limit = sorted[i + 1]?.headerOffset ?? directory.start;
    if (entry.headerOffset + LOCAL.bytes + entry.nameBytes + entry.size > limit) {
      throw bad(source.name, `"${entry.name}" overlaps what follows it`);
    }
    limits.set(entry.name, limit);
  });
  return new Map([...entries].map(([name, entry]) => [name, zipEntry(source, entry, limits.get(name)!)]));
}

/** The data begins after the local header, whose length only that header itself tells; it is read at the first use. */
function zipEntry(source: ByteSource, entry: CentralEntry, limit: number): ZipEntry {
  let start: Promise<number> | undefined;
  const dataStart = async () => {
    if (!entry.stored) throw bad(source.name, `"${entry.name}" is compressed or encrypted; torch.save never does that`);
    const view = viewOf(await source.read(entry.headerOffset, LOCAL.bytes));
    if (view.getUint32(0, true) !== LOCAL.signature) throw bad(source.name, `"${entry.name}" has no local header`);
    const begin = entry.headerOffset + LOCAL.bytes + view.getUint16(26, true) + view.getUint16(28, true);
    if (begin + entry.size > limit) throw bad(source.name, `"${entry.name}" overlaps what follows it`);
    return begin;
  };
  return {
    name: entry.name,
    size: entry.size,
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset > entry.size - length) {
        throw bad(source.name, `"${entry.name}" has ${entry.size} bytes, but ${offset + length} are needed`);
      }
      start ??= dataStart();
      return source.read((await start) + offset, length);
    },
  };
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Finds the end record, which a comment of up to 65,535 bytes may follow, and its zip64 form. */
async function findDirectory(source: ByteSource): Promise<Directory> {
  const length = Math.min(source.size, END64_LOCATOR.bytes + END.bytes + END.maxComment);
  const tailStart = source.size - length;
  const tail = viewOf(await source.read(tailStart, length));
  let at = length - END.bytes;
  while (
    at >= 0 &&
    !(tail.getUint32(at, true) === END.signature && at + END.bytes + tail.getUint16(at + 20, true) === length)
  ) {
    at--;
  }
  if (at < 0) throw bad(source.name, "its end record is missing (cut short, or not written by torch.save)");

  let directory = {
    start: tail.getUint32(at + 16, true),
    bytes: tail.getUint32(at + 12, true),
    count: tail.getUint16(at + 10, true),
  };
  let end = tailStart + at;
  const locator = at - END64_LOCATOR.bytes;
  if (locator >= 0 && tail.getUint32(locator, true) === END64_LOCATOR.signature) {
    const offset = safe(source.name, tail, locator + 8);
    if (offset > source.size - END64.bytes) throw bad(source.name, "its zip64 record lies outside the file");
    const record = viewOf(await source.read(offset, END64.bytes));
    if (record.getUint32(0, true) !== END64.signature) throw bad(source.name, "its zip64 record is missing");
    const [count, bytes, start] = [32, 40, 48].map((field) => safe(source.name, record, field)) as [
      number,
      number,
      number,
    ];
    directory = { start, bytes, count };
    end = offset;
  }
  if (directory.count > MAX_ENTRIES || directory.bytes > MAX_DIRECTORY_BYTES) {
    throw bad(source.name, `its directory announces ${directory.count} entries in ${directory.bytes} bytes`);
  }
  if (directory.start + directory.bytes > end) throw bad(source.name, "its directory lies outside the file");
  return directory;
}

function safe(file: string, view: DataView, at: number): number {
  const value = Number(view.getBigUint64(at, true));
  if (!Number.isSafeInteger(value)) throw bad(file, `it names the impossible size or offset ${value}`);
  return value;
}

async function readDirectory(source: ByteSource, directory: Directory): Promise<Map<string, CentralEntry>> {
  const bytes = await source.read(directory.start, directory.bytes);
  const view = viewOf(bytes);
  const entries = new Map<string, CentralEntry>();
  let at = 0;
  for (let i = 0; i < directory.count; i++) {
    if (at + CENTRAL.bytes > bytes.length || view.getUint32(at, true) !== CENTRAL.signature) {
      throw bad(source.name, "its directory is damaged");
    }
    const nameBytes = view.getUint16(at + 28, true);
    const extraBytes = view.getUint16(at + 30, true);
    const next = at + CENTRAL.bytes + nameBytes + extraBytes + view.getUint16(at + 32, true);
    if (next > bytes.length) throw bad(source.name, "its directory is damaged");
    const nameStart = at + CENTRAL.bytes;
    const name = new TextDecoder().decode(bytes.subarray(nameStart, nameStart + nameBytes));
    if (entries.has(name)) throw bad(source.name, `"${name}" occurs twice`);
    const extra = new DataView(bytes.buffer, bytes.byteOffset + nameStart + nameBytes, extraBytes);
    entries.set(name, { name, nameBytes, ...centralSizes(source.name, view, at, extra, name) });
    at = next;
  }
  return entries;
}

function centralSizes(file: string, view: DataView, at: number, extra: DataView, name: string) {
  const encrypted = (view.getUint16(at + 8, true) & 1) === 1;
  let field = zip64Extra(extra);
  // The zip64 extra holds, in this order, only those of the three that are 0xffffffff in the entry itself.
  const [size, packed, headerOffset] = [24, 20, 42].map((offset) => {
    const value = view.getUint32(at + offset, true);
    if (value !== 0xffffffff) return value;
    if (!field || field.byteLength < 8) throw bad(file, `"${name}" lacks its zip64 sizes`);
    const wide = safe(file, field, 0);
    field = new DataView(field.buffer, field.byteOffset + 8, field.byteLength - 8);
    return wide;
  }) as [number, number, number];
  const stored = view.getUint16(at + 10, true) === 0 && !encrypted;
  if (stored && size !== packed) throw bad(file, `"${name}" is stored but has two sizes, ${packed} and ${size}`);
  return { size: packed, stored, headerOffset };
}

function zip64Extra(extra: DataView): DataView | undefined {
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const length = extra.getUint16(at + 2, true);
    if (at + 4 + length > extra.byteLength) return undefined;
    if (extra.getUint16(at, true) === 1) return new DataView(extra.buffer, extra.byteOffset + at + 4, length);
    at += 4 + length;
  }
  return undefined;
}
