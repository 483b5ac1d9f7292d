// The directory of a .tar file: ustar (POSIX.1-1988), pax records for path and size (POSIX.1-2001), GNU's long names.
import { ClipCapError } from "../../runtime/errors.js";
import type { ByteSource } from "../../weights/source.js";

const BLOCK = 512;
/** One read takes the small members of a sample together: caption and JSON have some 3 kB with their headers. */
const WINDOW = 16 * BLOCK;
/** Linux allows paths of 4,096 bytes; pax records hold some of them. */
const MAX_EXTENSION = 64 * 1024;

/** A regular file in the archive: a range of bytes. */
export interface TarMember {
  readonly name: string;
  readonly offset: number;
  /** Bytes; they lie inside the file. */
  readonly size: number;
}

/**
 * The regular files of a .tar file in their order. Reads headers only, skips what is no file (folders, links), ends at the
 * first empty block or with the file.
 * @throws ClipCapError `bad-input` with the byte where the file is damaged or cut short.
 */
export async function* tarMembers(source: ByteSource): AsyncGenerator<TarMember> {
  const read = readAhead(source);
  const bad = (at: number, what: string) =>
    new ClipCapError("bad-input", `${source.name}, byte ${at}: ${what}; the archive is damaged or cut short.`);
  let extension: { readonly name?: string; readonly size?: number } = {};
  for (let at = 0; at < source.size; ) {
    if (at + BLOCK > source.size) throw bad(at, "a header is incomplete");
    const header = await read(at, BLOCK);
    if (header.every((byte) => byte === 0)) return;
    if (!checksumFits(header)) throw bad(at, "this is no tar header");
    const type = String.fromCharCode(header[156]!);
    const size = sizeOf(header, type, extension.size);
    const offset = at + BLOCK;
    if (size === undefined || size > source.size - offset) throw bad(at, "a file reaches beyond the end");
    if (isExtension(type)) {
      if (size > MAX_EXTENSION) throw bad(at, `a name of ${size} bytes is longer than the limit of ${MAX_EXTENSION}`);
      extension = { ...extension, ...readExtension(type, await read(offset, size)) };
    } else {
      if (type === "0" || type === "\0" || type === "7") yield { name: extension.name ?? nameOf(header), offset, size };
      extension = {};
    }
    at = offset + Math.ceil(size / BLOCK) * BLOCK;
  }
}

/** Bytes behind a header. Links (1, 2), devices (3, 4), folders (5) and pipes (6) have none, whatever theirs say. */
function sizeOf(header: Uint8Array, type: string, extended: number | undefined): number | undefined {
  if ("123456".includes(type)) return 0;
  return isExtension(type) ? numberAt(header, 124) : (extended ?? numberAt(header, 124));
}

/** Extensions describe the next member: L and K are GNU's long names, x and g are pax records. */
const isExtension = (type: string): boolean => "LKxg".includes(type);

function readExtension(type: string, bytes: Uint8Array): { readonly name?: string; readonly size?: number } {
  if (type === "L") return { name: text(bytes) };
  if (type !== "x") return {}; // the target of a link, or records for all members, which cannot name one
  const records = paxRecords(bytes);
  const [name, size] = [records.get("path"), Number(records.get("size"))];
  return { ...(name === undefined ? {} : { name }), ...(Number.isSafeInteger(size) && size >= 0 ? { size } : {}) };
}

/** "LENGTH key=value\n", the length in bytes and including itself. */
function paxRecords(bytes: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(text(bytes.subarray(at, Math.max(space, at))));
    if (!Number.isInteger(length) || length <= space - at) break;
    const record = text(bytes.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    if (equals > 0) records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

function nameOf(header: Uint8Array): string {
  const name = text(header.subarray(0, 100));
  const isUstar = text(header.subarray(257, 262)) === "ustar";
  const prefix = isUstar && header[262] === 0 ? text(header.subarray(345, 500)) : ""; // GNU keeps times there
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Up to the first NUL. */
function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** 12 bytes: octal digits, or 0x80 and a big-endian number (GNU, from 8 GiB on). */
function numberAt(header: Uint8Array, offset: number): number | undefined {
  const bytes = header.subarray(offset, offset + 12);
  if (bytes[0] === 0x80) {
    const value = bytes.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = text(bytes).trim();
  return /^[0-7]*$/.test(digits) ? Number.parseInt(digits || "0", 8) : undefined;
}

/** The sum of the header's bytes, its own field taken as spaces. */
export function checksumFits(header: Uint8Array): boolean {
  const stated = text(header.subarray(148, 156)).trim();
  const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
  return /^[0-7]+$/.test(stated) && Number.parseInt(stated, 8) === sum;
}

/** Reads that are answered from the last window where it holds them. */
function readAhead(source: ByteSource): (offset: number, length: number) => Promise<Uint8Array> {
  let window = { start: 0, bytes: new Uint8Array() };
  return async (offset, length) => {
    const { start, bytes } = window;
    if (offset < start || offset + length > start + bytes.length) {
      const size = Math.max(length, Math.min(WINDOW, source.size - offset));
      window = { start: offset, bytes: await source.read(offset, size) };
    }
    return window.bytes.subarray(offset - window.start, offset - window.start + length);
  };
}
