import { ClipCapError } from "../runtime/errors.js";
import { bf16ToF32, dequantizeRows, f16ToF32 } from "./float.js";

/** Bytes per element of each byte-sized type of the safetensors format. */
export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;
export type DType = keyof typeof DTYPE_BYTES;

export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  /** Row-major; [] is a scalar. */
  readonly shape: readonly number[];
  /** First byte in the file; 0 in files whose tensors are computed or gathered. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface ReadOptions {
  /** First row and the row after the last, along the first axis. */
  readonly rows?: readonly [start: number, end: number];
}

/** Named tensors that are read on demand, in whole or by rows; the same for every format. */
export interface TensorFile {
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Bytes of one tensor (little endian, row-major), or a range inside it; they belong to the caller. */
  readBytes(name: string, byteStart?: number, byteLength?: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Values as f32; converts F16, BF16 and q8 matrices. @throws ClipCapError `bad-weights` for other types. */
  readF32(name: string, options?: ReadOptions): Promise<Float32Array<ArrayBuffer>>;
}

/**
 * q8 in a file: a matrix NAME of type I8, shape [N, K], beside `NAME.scale`, F32 [N]; value = int8 * scale of its row.
 * The file says so in its metadata: "quantization": "q8-row".
 */
export const Q8_METADATA = { quantization: "q8-row" } as const;
export const scaleName = (name: string): string => `${name}.scale`;

/** Whether NAME is stored as int8 rows with scales (see Q8_METADATA). */
export function isQuantized(file: TensorFile, name: string): boolean {
  return (
    file.metadata.quantization === Q8_METADATA.quantization &&
    file.tensors.get(name)?.dtype === "I8" &&
    file.tensors.has(scaleName(name))
  );
}

/** The tensor's entry; throws "bad-weights" naming the file when it is missing. */
export function tensorInfo(file: Pick<TensorFile, "name" | "tensors">, name: string): TensorInfo {
  const info = file.tensors.get(name);
  if (info) return info;
  throw new ClipCapError("bad-weights", `${file.name} has no tensor "${name}" (it has ${file.tensors.size} others).`);
}

/** Product of a shape, 1 for a scalar; undefined where it exceeds 2^53 - 1 or a size is not a whole number >= 0. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) return undefined;
    count *= size;
  }
  // A zero hides an overflow in the other sizes, and 0 * Infinity is NaN: the factors are multiplied again without it.
  const factors = shape.filter((size) => size > 0).reduce((a, b) => a * b, 1);
  return factors > Number.MAX_SAFE_INTEGER ? undefined : count;
}

/** [first byte, byte length, first element, element count] of some rows of a tensor; throws "bad-input" outside it. */
export function rowRange(info: TensorInfo, rows: ReadOptions["rows"]) {
  const count = info.byteLength / DTYPE_BYTES[info.dtype];
  if (!rows) return { byteStart: 0, byteLength: info.byteLength, first: 0, count };
  const [start, end] = rows;
  const height = info.shape[0] ?? 0;
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end < start || end > height) {
    throw new ClipCapError(
      "bad-input",
      `Rows ${start} to ${end} are outside "${info.name}", which has ${height} rows.`,
    );
  }
  const width = height === 0 ? 0 : count / height;
  const bytes = width * DTYPE_BYTES[info.dtype];
  return {
    byteStart: start * bytes,
    byteLength: (end - start) * bytes,
    first: start * width,
    count: (end - start) * width,
  };
}

/** `readF32` for any TensorFile, by its `readBytes`. */
export async function readTensorF32(file: TensorFile, name: string, options: ReadOptions = {}) {
  const info = tensorInfo(file, name);
  const { byteStart, byteLength } = rowRange(info, options.rows);
  const { dtype } = info;
  if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16" && !isQuantized(file, name)) {
    throw new ClipCapError(
      "bad-weights",
      `"${name}" in ${file.name} has type ${dtype}; weights must be F32, F16, BF16 or I8 with "${scaleName(name)}".`,
    );
  }
  const bytes = await file.readBytes(name, byteStart, byteLength);
  if (dtype === "F32") return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  if (dtype === "I8") {
    const scales = await file.readF32(scaleName(name), options);
    return dequantizeRows(new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), scales);
  }
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return dtype === "F16" ? f16ToF32(halves) : bf16ToF32(halves);
}

/** Checks a byte range inside a tensor and returns its length. @throws ClipCapError `bad-input` */
export function checkTensorRange(
  info: TensorInfo,
  byteStart: number,
  byteLength = info.byteLength - byteStart,
): number {
  const whole = Number.isSafeInteger(byteStart) && Number.isSafeInteger(byteLength);
  if (!whole || byteStart < 0 || byteLength < 0 || byteStart > info.byteLength - byteLength) {
    throw new ClipCapError(
      "bad-input",
      `Bytes ${byteStart} to ${byteStart + byteLength} are outside "${info.name}", which has ${info.byteLength} bytes.`,
    );
  }
  return byteLength;
}
