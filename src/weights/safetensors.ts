import { ClipCapError } from "../runtime/errors.js";
import { MAX_HEADER_BYTES, parseHeader } from "./safetensors-header.js";
import type { ByteSource } from "./source.js";
import { checkTensorRange, readTensorF32, type TensorFile, tensorInfo } from "./tensor-file.js";

/**
 * Opens a safetensors file: reads and checks its header only; tensors are read by range when asked for.
 * Every type of the format with whole bytes is accepted here, because a file may carry buffers that no model reads;
 * `readF32` refuses those that are no weights.
 * @throws ClipCapError `bad-weights` with what is wrong.
 */
export async function openSafetensors(source: ByteSource): Promise<TensorFile> {
  const { name, size } = source;
  if (size < 8) {
    throw new ClipCapError("bad-weights", `${name} has only ${size} bytes, which is no safetensors file.`);
  }
  const prefix = await source.read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new ClipCapError(
      "bad-weights",
      `${name} is not a safetensors file: its first 8 bytes announce a header of ${length} bytes (limit ${MAX_HEADER_BYTES}).`,
    );
  }
  const dataStart = 8 + Number(length);
  if (dataStart > size) {
    throw new ClipCapError(
      "bad-weights",
      `${name} is cut short inside its header (${size} of at least ${dataStart} bytes); download or copy it again.`,
    );
  }
  const { metadata, tensors } = parseHeader(name, await source.read(8, Number(length)), dataStart, size);
  const file: TensorFile = {
    name,
    metadata,
    tensors,
    async readBytes(tensor, byteStart = 0, byteLength) {
      const info = tensorInfo(file, tensor);
      const count = checkTensorRange(info, byteStart, byteLength);
      return source.read(info.byteOffset + byteStart, count);
    },
    readF32: (tensor, options) => readTensorF32(file, tensor, options),
  };
  return file;
}
