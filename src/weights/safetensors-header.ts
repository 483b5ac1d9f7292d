// The header of a safetensors file, checked against https://github.com/huggingface/safetensors#format:
// 8 bytes little-endian length, that many bytes of JSON, then the tensors without holes.
import { ClipCapError } from "../runtime/errors.js";
import { DTYPE_BYTES, type DType, elementCount, type TensorInfo } from "./tensor-file.js";

/** The format's own limit; the largest published models stay under 2 MB. */
export const MAX_HEADER_BYTES = 100_000_000;

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

/** A tensor about to be written. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Names and shapes of a hostile header may have megabytes. */
const MAX_MESSAGE = 300;

function bad(file: string, what: string): ClipCapError {
  const shown = what.length > MAX_MESSAGE ? `${what.slice(0, MAX_MESSAGE)}…` : what;
  return new ClipCapError("bad-weights", `${file} is not a valid safetensors file: ${shown}.`);
}

/**
 * Parses and checks the JSON of a header.
 * @param dataStart first byte of the tensor data in the file
 * @param fileSize bytes of the whole file; the tensors must cover it from dataStart to its end exactly
 */
export function parseHeader(file: string, json: Uint8Array, dataStart: number, fileSize: number): Header {
  if (json[0] !== 0x7b) throw bad(file, 'its header does not start with "{"');
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(json);
    parsed = JSON.parse(text);
  } catch (cause) {
    throw bad(file, `its header is not JSON in UTF-8 (${(cause as Error).message})`);
  }
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined) throw bad(file, `the key ${JSON.stringify(duplicate)} occurs twice in its header`);

  const { __metadata__: metadata = {}, ...entries } = parsed as Record<string, unknown>;
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    throw bad(file, "its __metadata__ is not a map of strings");
  }
  const tensors = Object.entries(entries).map(([name, entry]) => parseEntry(file, name, entry, dataStart));
  checkLayout(file, tensors, dataStart, fileSize);
  return { metadata: metadata as Record<string, string>, tensors: new Map(tensors.map((info) => [info.name, info])) };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function parseEntry(file: string, name: string, entry: unknown, dataStart: number): TensorInfo {
  const what = `tensor ${JSON.stringify(name)}`;
  if (!isRecord(entry)) throw bad(file, `${what} is described by something that is not an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw bad(file, `${what} has the unknown type ${JSON.stringify(dtype)}`);
  }
  if (!Array.isArray(shape)) throw bad(file, `${what} has no shape`);
  const count = elementCount(shape);
  const width = DTYPE_BYTES[dtype as DType];
  if (count === undefined || count * width > Number.MAX_SAFE_INTEGER) {
    throw bad(file, `${what} has the impossible shape ${JSON.stringify(shape)}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every((o) => Number.isSafeInteger(o) && o >= 0)) {
    throw bad(file, `${what} has the impossible data_offsets ${JSON.stringify(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  if (end - begin !== count * width) {
    throw bad(
      file,
      `${what} (${dtype} [${shape}]) needs ${count * width} bytes but its data_offsets span ${end - begin}`,
    );
  }
  return {
    name,
    dtype: dtype as DType,
    shape: shape as number[],
    byteOffset: dataStart + begin,
    byteLength: end - begin,
  };
}

/** The tensors, in the order of their bytes, must touch each other and end with the file. */
function checkLayout(file: string, tensors: readonly TensorInfo[], dataStart: number, fileSize: number): void {
  const end = (info: TensorInfo) => info.byteOffset + info.byteLength;
  let next = dataStart;
  for (const info of [...tensors].sort((a, b) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength)) {
    if (info.byteOffset !== next) {
      const fault = info.byteOffset < next ? "overlaps the tensor before it" : "leaves a hole before it";
      throw bad(file, `tensor ${JSON.stringify(info.name)} ${fault} (byte ${info.byteOffset}, expected ${next})`);
    }
    next = end(info);
  }
  if (next > fileSize) throw bad(file, `it is cut short (${fileSize} of ${next} bytes); download or copy it again`);
  if (next < fileSize) throw bad(file, `${fileSize - next} bytes follow after the last tensor`);
}

/** The first key that occurs twice in one object; JSON.parse would silently keep the last. `text` is valid JSON. */
function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "{") open.push(new Set());
    else if (c === "}") open.pop();
    else if (c === '"') {
      const start = i++;
      while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      let after = i + 1;
      while (text[after] === " " || text[after] === "\n" || text[after] === "\r" || text[after] === "\t") after++;
      if (text[after] !== ":") continue;
      const key = JSON.parse(text.slice(start, i + 1)) as string;
      const seen = open.at(-1)!;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}

/**
 * The bytes of a file before its data, and the order in which the data must follow: wide types first, then by name,
 * so that every tensor is aligned to its type (the header is padded to 8 bytes) and equal content gives equal files.
 */
export function safetensorsHeader<T extends TensorSpec>(
  specs: readonly T[],
  metadata: Readonly<Record<string, string>> = {},
): { header: Uint8Array<ArrayBuffer>; order: readonly T[] } {
  const order = [...specs].sort(
    (a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const entries: [string, unknown][] = [];
  const pairs = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  if (pairs.length > 0) entries.push(["__metadata__", Object.fromEntries(pairs)]);
  const names = new Set(["__metadata__"]);
  let begin = 0;
  for (const { name, dtype, shape } of order) {
    if (names.size === names.add(name).size) {
      throw new ClipCapError("bad-input", `Two tensors cannot both be called "${name}" in one file.`);
    }
    const end = begin + specBytes({ name, dtype, shape });
    entries.push([name, { dtype, shape, data_offsets: [begin, end] }]);
    begin = end;
  }
  // Written pair by pair: an object would move keys such as "0" to the front.
  const json = `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  if (length > MAX_HEADER_BYTES)
    throw new ClipCapError("bad-input", `A header of ${length} bytes exceeds the format's limit.`);
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return { header, order };
}

/** Bytes of a tensor; throws "bad-input" for an impossible shape. */
export function specBytes({ name, dtype, shape }: TensorSpec): number {
  const count = elementCount(shape);
  if (count === undefined) throw new ClipCapError("bad-input", `"${name}" has the impossible shape [${shape}].`);
  return count * DTYPE_BYTES[dtype];
}
