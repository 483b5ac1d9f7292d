import { ClipCapError } from "../runtime/errors.js";
import type { TensorEntry, WriteOptions } from "./node-safetensors.js";
import { writeZip, type ZipContent } from "./node-zip.js";
import { specBytes } from "./safetensors-header.js";
import type { DType } from "./tensor-file.js";

const STORAGES: Partial<Record<DType, string>> = { F32: "FloatStorage", F16: "HalfStorage", BF16: "BFloat16Storage" };

/**
 * Writes what torch.save(model.state_dict()) writes: a zip with data.pkl and one storage per tensor, read by torch.load
 * (weights_only too). `aliases` (name -> name of an entry) share the storage of another tensor, as tied layers do.
 */
export async function writeTorch(
  path: string,
  entries: readonly TensorEntry[],
  aliases: ReadonlyMap<string, string>,
  { signal, onProgress }: WriteOptions = {},
): Promise<void> {
  const total = entries.reduce((sum, entry) => sum + specBytes(entry), 0);
  let done = 0;
  const data = entries.map((entry, i): ZipContent => {
    return {
      name: `archive/data/${i}`,
      size: specBytes(entry),
      async *bytes() {
        for await (const piece of entry.bytes()) {
          yield piece;
          done += piece.length;
          onProgress?.(done, total);
        }
      },
    };
  });
  const small = (name: string, bytes: Uint8Array): ZipContent => ({ name, size: bytes.length, bytes: () => [bytes] });
  const contents = [
    small("archive/data.pkl", statePickle(entries, aliases)),
    small("archive/byteorder", Buffer.from("little")),
    ...data,
    small("archive/version", Buffer.from("3\n")),
  ];
  await writeZip(path, contents, signal);
}

/** The state_dict as pickle of protocol 2; tensors refer to their storage by its number. */
function statePickle(entries: readonly TensorEntry[], aliases: ReadonlyMap<string, string>): Uint8Array {
  const parts: Uint8Array[] = [];
  const put = (text: string) => parts.push(Buffer.from(text, "latin1"));
  const int = (value: number) => {
    if (value >= 2 ** 31)
      throw new ClipCapError("bad-input", `A tensor of ${value} elements is too large for a checkpoint.`);
    parts.push(Buffer.from("J\0\0\0\0", "latin1"));
    new DataView(parts.at(-1)!.buffer, parts.at(-1)!.byteOffset).setInt32(1, value, true);
  };
  const text = (value: string) => {
    const bytes = Buffer.from(value, "utf8");
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    parts.push(Buffer.from("X"), length, bytes);
  };
  const ints = (values: readonly number[]) => {
    put("(");
    for (const value of values) int(value);
    put("t");
  };
  const emptyDict = () => put("ccollections\nOrderedDict\n)R");

  put("\x80\x02");
  emptyDict();
  put("(");
  const numbers = new Map(entries.map((entry, i) => [entry.name, i]));
  for (const [name, target] of [...entries.map((entry) => [entry.name, entry.name] as const), ...aliases]) {
    const number = numbers.get(target)!;
    const { dtype, shape } = entries[number]!;
    const storage = STORAGES[dtype];
    if (!storage) throw new ClipCapError("bad-input", `"${name}": checkpoints hold f32, f16 or bf16, not ${dtype}.`);
    text(name);
    put("ctorch._utils\n_rebuild_tensor_v2\n((");
    text("storage");
    put(`ctorch\n${storage}\n`);
    text(String(number));
    text("cpu");
    int(shape.reduce((a, b) => a * b, 1));
    put("tQ");
    int(0);
    ints(shape);
    ints(shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1)));
    put("\x89");
    emptyDict();
    put("tR");
  }
  put("u.");
  return Buffer.concat(parts);
}
