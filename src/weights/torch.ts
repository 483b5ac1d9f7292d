// Files of torch.save since 1.6: a zip whose data.pkl describes the tensors and whose data/N hold their bytes.
import { ClipCapError } from "../runtime/errors.js";
import { type PickleGlobal, type PickleValue, readPickle } from "./pickle.js";
import type { ByteSource } from "./source.js";
import { gatherStrided, isContiguous, type StridedView } from "./strided.js";
import {
  checkTensorRange,
  DTYPE_BYTES,
  type DType,
  elementCount,
  readTensorF32,
  type TensorFile,
  type TensorInfo,
  tensorInfo,
} from "./tensor-file.js";
import { openZip, type ZipEntry } from "./zip.js";

/** A state_dict of 272 tensors is described in 40 kB. */
const MAX_PICKLE_BYTES = 64 * 2 ** 20;
/** torch allows 64 dimensions; weights have at most 4. */
const MAX_RANK = 64;

export const STORAGE_DTYPES: Readonly<Record<string, DType>> = {
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  DoubleStorage: "F64",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

/** Keys under which training scripts put the weights beside their own state. */
const WRAPPERS = ["state_dict", "model_state_dict", "model"];

/** torch.FloatStorage and its like. */
export interface StorageType extends PickleGlobal {
  readonly kind: "storage type";
  readonly dtype: DType;
}

interface Storage {
  readonly kind: "storage";
  readonly dtype: DType;
  readonly entry: ZipEntry;
  /** Elements. */
  readonly length: number;
}

interface TorchTensor extends StridedView {
  readonly kind: "tensor";
  readonly storage: Storage;
}

/**
 * Opens a checkpoint (.pt, .pth, pytorch_model.bin): reads the zip directory and the pickle, tensors on demand.
 * Only dictionaries, lists and dense tensors are built; any other Python object that the file names is refused by name.
 * The device that a tensor was saved from (cuda:0) does not matter.
 * @throws ClipCapError `bad-weights`
 */
export async function openTorch(source: ByteSource): Promise<TensorFile> {
  const entries = await openZip(source);
  const pickles = [...entries.keys()].filter((name) => /^[^/]*\/?data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    throw bad(source.name, `it has ${pickles.length} entries named data.pkl instead of one`);
  }
  const pickle = entries.get(pickles[0]!)!;
  const root = pickle.name.slice(0, -"data.pkl".length);
  if (pickle.size > MAX_PICKLE_BYTES) throw bad(source.name, `its data.pkl has ${pickle.size} bytes`);
  await checkByteOrder(source.name, entries.get(`${root}byteorder`));
  const value = readPickle(source.name, await pickle.read(0, pickle.size), {
    globals: globalsFor(source.name),
    persistent: (id) => storage(source.name, id, entries, root),
  });
  return tensorFile(source.name, stateDict(source.name, value));
}

const bad = (file: string, what: string): ClipCapError =>
  new ClipCapError("bad-weights", `${file} is not a usable PyTorch checkpoint: ${what}.`);

async function checkByteOrder(file: string, entry: ZipEntry | undefined): Promise<void> {
  if (!entry) return; // torch before 2.1 wrote none, and only little-endian machines
  const order = new TextDecoder().decode(await entry.read(0, Math.min(entry.size, 16)));
  if (order !== "little") throw bad(file, `its byte order is ${JSON.stringify(order)}, not little`);
}

/** Every Python name that a state_dict needs; see readPickle. */
function globalsFor(file: string): ReadonlyMap<string, PickleGlobal> {
  const globals = new Map<string, PickleGlobal>([
    ["collections.OrderedDict", { kind: "function", call: (args) => orderedDict(file, args) }],
    ["torch._utils._rebuild_tensor_v2", { kind: "function", call: (args) => tensor(file, args) }],
    ["torch._utils._rebuild_parameter", { kind: "function", call: (args) => asTensor(file, args[0]) }],
  ]);
  for (const [name, dtype] of Object.entries(STORAGE_DTYPES)) {
    const type: StorageType = { kind: "storage type", dtype };
    globals.set(`torch.${name}`, type);
  }
  return globals;
}

function orderedDict(file: string, args: readonly PickleValue[]): PickleValue {
  const pairs = args[0] ?? [];
  if (!Array.isArray(pairs)) throw bad(file, "an OrderedDict is made of something that is not a list");
  return new Map(
    pairs.map((pair): [PickleValue, PickleValue] => {
      if (!Array.isArray(pair) || pair.length !== 2)
        throw bad(file, "an OrderedDict is made of something without pairs");
      return [pair[0]!, pair[1]!];
    }),
  );
}

export const isKind = <T extends { readonly kind: string }>(value: unknown, kind: T["kind"]): value is T =>
  typeof value === "object" && value !== null && "kind" in value && value.kind === kind;

function asTensor(file: string, value: PickleValue | undefined): TorchTensor {
  if (!isKind<TorchTensor>(value, "tensor")) throw bad(file, "a parameter is made of something that is not a tensor");
  return value;
}

/** ("storage", type, key, device, length) -> the entry data/key. */
function storage(file: string, id: PickleValue, entries: ReadonlyMap<string, ZipEntry>, root: string): Storage {
  const [tag, type, key, , length] = Array.isArray(id) ? id : [];
  const named = typeof key === "string" || typeof key === "number";
  if (tag !== "storage" || !isKind<StorageType>(type, "storage type") || !named || !isSize(length)) {
    throw bad(file, "it refers to an object outside that is not a storage");
  }
  const entry = entries.get(`${root}data/${key}`);
  if (!entry) throw bad(file, `its entry data/${key} is missing`);
  const bytes = length * DTYPE_BYTES[type.dtype];
  if (entry.size < bytes) throw bad(file, `${entry.name} has ${entry.size} bytes instead of ${bytes}`);
  return { kind: "storage", dtype: type.dtype, entry, length };
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= MAX_RANK && value.every(isSize);

/** (storage, offset, shape, strides, ...): all of it must lie inside the storage. */
function tensor(file: string, args: readonly PickleValue[]): TorchTensor {
  const [from, offset, shape, strides] = args;
  const fits = isKind<Storage>(from, "storage") && isSize(offset) && isSizes(shape) && isSizes(strides);
  if (!fits || shape.length !== strides.length) throw bad(file, "a tensor is made of something that is not a storage");
  const count = elementCount(shape);
  const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis]!, offset);
  if (count === undefined || (count > 0 && !(last < from.length))) {
    throw bad(
      file,
      `a tensor of shape [${shape}] and strides [${strides}] reaches outside its ${from.length} elements`,
    );
  }
  if (count > from.length) throw bad(file, `a tensor of shape [${shape}] repeats its ${from.length} elements`);
  return { kind: "tensor", storage: from, offset, shape, strides };
}

/** The dictionary of tensors, at the top or one level down; what is not a tensor (epoch, optimizer) is left out. */
function stateDict(file: string, value: PickleValue): Map<string, TorchTensor> {
  const named = (candidate: PickleValue | undefined) => {
    const found = new Map<string, TorchTensor>();
    if (candidate instanceof Map) {
      for (const [key, item] of candidate) {
        if (typeof key === "string" && isKind<TorchTensor>(item, "tensor")) found.set(key, item);
      }
    }
    return found;
  };
  const candidates = [value, ...WRAPPERS.map((key) => (value instanceof Map ? value.get(key) : undefined))];
  const found = candidates.map(named).find((tensors) => tensors.size > 0);
  if (!found) throw bad(file, "it holds no dictionary of tensors (a state_dict)");
  return found;
}

function tensorFile(name: string, dict: ReadonlyMap<string, TorchTensor>): TensorFile {
  const tensors = new Map<string, TensorInfo>();
  for (const [key, { storage, shape }] of dict) {
    const byteLength = elementCount(shape)! * DTYPE_BYTES[storage.dtype];
    tensors.set(key, { name: key, dtype: storage.dtype, shape, byteOffset: 0, byteLength });
  }
  const file: TensorFile = {
    name,
    metadata: {},
    tensors,
    async readBytes(key, byteStart = 0, byteLength) {
      const length = checkTensorRange(tensorInfo(file, key), byteStart, byteLength);
      const { storage, ...view } = dict.get(key)!;
      const width = DTYPE_BYTES[storage.dtype];
      if (isContiguous(view)) return storage.entry.read(view.offset * width + byteStart, length);
      return gatherStrided(view, width, byteStart, length, (start, count) => storage.entry.read(start, count));
    },
    readF32: (key, options) => readTensorF32(file, key, options),
  };
  return file;
}
