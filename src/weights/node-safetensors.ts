import { ClipCapError } from "../runtime/errors.js";
import { writeAtomically } from "./node-source.js";
import { safetensorsHeader, specBytes, type TensorSpec } from "./safetensors-header.js";

/** A tensor and its bytes (little endian, row-major), produced in pieces when its turn comes. */
export interface TensorEntry extends TensorSpec {
  bytes(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface WriteOptions {
  readonly signal?: AbortSignal;
  /** Called after each piece with the bytes written so far and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** An entry over values that are in memory. */
export function arrayEntry(spec: TensorSpec, values: ArrayBufferView): TensorEntry {
  return { ...spec, bytes: () => [new Uint8Array(values.buffer, values.byteOffset, values.byteLength)] };
}

/**
 * Writes a safetensors file tensor by tensor, so memory holds one piece at a time, and atomically (`writeAtomically`).
 * The order and therefore the bytes depend on the content alone.
 * @throws ClipCapError `bad-input` when an entry gives more or fewer bytes than its shape says.
 */
export async function writeSafetensors(
  path: string,
  entries: readonly TensorEntry[],
  metadata: Readonly<Record<string, string>> = {},
  { signal, onProgress }: WriteOptions = {},
): Promise<void> {
  const { header, order } = safetensorsHeader(entries, metadata);
  const total = order.reduce((sum, entry) => sum + specBytes(entry), header.length);
  await writeAtomically(
    path,
    async (sink) => {
      await sink.write(header);
      let done = header.length;
      for (const entry of order) {
        const start = done;
        for await (const piece of entry.bytes()) {
          await sink.write(piece);
          done += piece.length;
          onProgress?.(done, total);
        }
        if (done - start !== specBytes(entry)) {
          throw new ClipCapError(
            "bad-input",
            `"${entry.name}" has ${done - start} bytes, but ${entry.dtype} [${entry.shape}] needs ${specBytes(entry)}.`,
          );
        }
      }
    },
    signal,
  );
}
