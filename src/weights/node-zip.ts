import { crc32 } from "node:zlib";
import { ClipCapError } from "../runtime/errors.js";
import { type ByteSink, writeAtomically } from "./node-source.js";

export interface ZipContent {
  readonly name: string;
  /** Bytes that `bytes` will give. */
  readonly size: number;
  bytes(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** torch maps files into memory and wants tensors at multiples of 64 bytes. */
const ALIGNMENT = 64;
const UINT32 = 0xffffffff;
/** Bit 3: CRC and sizes follow the data, so that one pass suffices; bit 11: names are UTF-8. */
const FLAGS = 0x0808;

interface Written {
  readonly name: Uint8Array;
  readonly crc: number;
  readonly size: number;
  readonly offset: number;
}

/** Writes a zip file of stored entries in their order, streaming and atomically; offsets above 4 GiB become zip64. */
export async function writeZip(path: string, contents: readonly ZipContent[], signal?: AbortSignal): Promise<void> {
  await writeAtomically(
    path,
    async (sink) => {
      const written: Written[] = [];
      let at = 0;
      for (const content of contents) {
        const entry = await writeEntry(sink, content, at);
        written.push(entry.written);
        at = entry.end;
      }
      const directory = Buffer.concat(written.map(centralHeader));
      await sink.write(directory);
      await sink.write(endRecords(written.length, directory.length, at));
    },
    signal,
  );
}

async function writeEntry(sink: ByteSink, content: ZipContent, offset: number) {
  if (content.size >= UINT32) {
    throw new ClipCapError("bad-input", `"${content.name}" has ${content.size} bytes; a checkpoint entry holds 4 GiB.`);
  }
  const name = new TextEncoder().encode(content.name);
  const padding = (ALIGNMENT - ((offset + 30 + name.length + 4) % ALIGNMENT)) % ALIGNMENT;
  const header = new ByteBuffer().u32(0x04034b50).u16(20).u16(FLAGS).u16(0).u16(0).u16(0x21);
  header
    .u32(0)
    .u32(0)
    .u32(0)
    .u16(name.length)
    .u16(4 + padding)
    .raw(name);
  header.u16(0x4246).u16(padding).raw(new Uint8Array(padding)); // "FB", the padding field of torch's own writer
  await sink.write(header.bytes());
  let crc = 0;
  let size = 0;
  for await (const piece of content.bytes()) {
    crc = crc32(piece, crc);
    size += piece.length;
    await sink.write(piece);
  }
  if (size !== content.size) {
    throw new ClipCapError("bad-input", `"${content.name}" gave ${size} bytes instead of ${content.size}.`);
  }
  const descriptor = new ByteBuffer().u32(0x08074b50).u32(crc).u32(size).u32(size).bytes();
  await sink.write(descriptor);
  const end = offset + header.bytes().length + size + descriptor.length;
  return { written: { name, crc, size, offset }, end };
}

function centralHeader({ name, crc, size, offset }: Written): Uint8Array {
  const wide = offset >= UINT32;
  const header = new ByteBuffer()
    .u32(0x02014b50)
    .u16(20)
    .u16(wide ? 45 : 20)
    .u16(FLAGS)
    .u16(0)
    .u16(0)
    .u16(0x21);
  header
    .u32(crc)
    .u32(size)
    .u32(size)
    .u16(name.length)
    .u16(wide ? 12 : 0)
    .u16(0)
    .u16(0)
    .u16(0)
    .u32(0);
  header.u32(wide ? UINT32 : offset).raw(name);
  if (wide) header.u16(1).u16(8).u64(offset);
  return header.bytes();
}

function endRecords(count: number, bytes: number, start: number): Uint8Array {
  const records = new ByteBuffer();
  const wide = count >= 0xffff || start >= UINT32;
  if (wide) {
    records.u32(0x06064b50).u64(44).u16(45).u16(45).u32(0).u32(0).u64(count).u64(count).u64(bytes).u64(start);
    records
      .u32(0x07064b50)
      .u32(0)
      .u64(start + bytes)
      .u32(1);
  }
  const entries = wide ? 0xffff : count;
  records.u32(0x06054b50).u16(0).u16(0).u16(entries).u16(entries);
  return records
    .u32(bytes)
    .u32(wide ? UINT32 : start)
    .u16(0)
    .bytes();
}

/** Little-endian fields, one after the other. */
class ByteBuffer {
  readonly #parts: Uint8Array[] = [];

  u16(value: number): this {
    return this.raw(Uint8Array.of(value, value >>> 8));
  }
  u32(value: number): this {
    return this.raw(Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
  }
  u64(value: number): this {
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }
  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }
  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}
