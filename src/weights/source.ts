import { ClipCapError } from "../runtime/errors.js";

/**
 * Bytes of a known size that are read in pieces, so that a 3 GB file never has to be in memory at once.
 * `read` returns fresh bytes that belong to the caller; it rejects with "io" (or "network") instead of returning less.
 */
export interface ByteSource {
  /** File name or URL, for messages. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** @throws ClipCapError `io` unless [offset, offset + length) lies inside the source. */
export function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
    throw new ClipCapError("io", `${source.name}: cannot read ${length} bytes at offset ${offset}.`);
  }
  if (offset > source.size - length) {
    throw new ClipCapError(
      "io",
      `${source.name} ends at byte ${source.size}, but bytes ${offset} to ${offset + length} were needed; the file is damaged or cut short.`,
    );
  }
}

/** A source over bytes that are already in memory. */
export function memorySource(name: string, data: ArrayBuffer | Uint8Array): ByteSource {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  return {
    name,
    size: bytes.byteLength,
    async read(offset, length) {
      checkRange({ name, size: bytes.byteLength }, offset, length);
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
  };
}

/** A source over a Blob or a File that the user chose. */
export function blobSource(blob: Blob, name = blob instanceof File ? blob.name : "blob"): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length) {
      checkRange({ name, size: blob.size }, offset, length);
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        throw new ClipCapError("io", `${name} could not be read; choose the file again.`, { cause });
      }
    },
  };
}
