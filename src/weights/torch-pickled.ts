// A tensor inside an ordinary pickle, as `pickle.dump` writes it. Its bytes are a file of torch.save from before 1.6 within
// the pickle: four pickles (a magic number, a version, the machine, the storage), the list of the storages' names, then for
// each its number of elements (i64) and the elements.
import { ClipCapError } from "../runtime/errors.js";
import { type PickleGlobal, type PickleReader, type PickleValue, readPickleAt } from "./pickle.js";
import { DTYPE_BYTES, type DType, elementCount } from "./tensor-file.js";
import { isKind, STORAGE_DTYPES, type StorageType } from "./torch.js";

/** The pickle of 0x1950a86a20f9469cfc6c. */
const MAGIC = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
const VERSION = 1001;

/** A dense tensor, row-major. */
export interface PickledTensor {
  readonly kind: "tensor";
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

interface PickledStorage {
  readonly kind: "storage";
  readonly dtype: DType;
  readonly bytes: Uint8Array;
}

export const isPickledTensor = (value: unknown): value is PickledTensor => isKind<PickledTensor>(value, "tensor");

/** The Python names in a pickle that holds dense tensors among plain values; they become PickledTensors. */
export function pickledTensorGlobals(file: string): ReadonlyMap<string, PickleGlobal> {
  return new Map<string, PickleGlobal>([
    ["collections.OrderedDict", { kind: "function", call: () => new Map() }],
    ["torch.storage._load_from_bytes", { kind: "function", call: ([bytes]) => storage(file, bytes) }],
    ["torch._utils._rebuild_tensor_v2", { kind: "function", call: (args) => tensor(file, args) }],
  ]);
}

const bad = (file: string, what: string): ClipCapError =>
  new ClipCapError("bad-weights", `${file} holds a tensor that cannot be read: ${what}.`);

function storage(file: string, bytes: PickleValue | undefined): PickledStorage {
  if (!(bytes instanceof Uint8Array) || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw bad(file, "its bytes are not those of torch.save");
  }
  let at = MAGIC.length;
  const next = (globals: PickleReader["globals"], persistent: PickleReader["persistent"]): PickleValue => {
    const { value, end } = readPickleAt(file, bytes, at, { globals, persistent });
    at = end;
    return value;
  };
  const plain = () => next(new Map(), () => null);
  const version = plain();
  if (version !== VERSION) throw bad(file, `its version is not ${VERSION}`);
  const machine = plain();
  if (!(machine instanceof Map) || machine.get("little_endian") !== true) throw bad(file, "it is not little-endian");
  const described = next(storageTypes(), (id) => describedStorage(file, id));
  const names = plain();
  if (!isKind<DescribedStorage>(described, "described") || !Array.isArray(names) || names.length !== 1) {
    throw bad(file, "it is not one storage");
  }
  const size = described.length * DTYPE_BYTES[described.dtype];
  if (at + 8 + size !== bytes.length) throw bad(file, `${bytes.length - at - 8} bytes follow instead of ${size}`);
  return { kind: "storage", dtype: described.dtype, bytes: bytes.subarray(at + 8) };
}

interface DescribedStorage {
  readonly kind: "described";
  readonly dtype: DType;
  /** Elements. */
  readonly length: number;
}

function storageTypes(): ReadonlyMap<string, PickleGlobal> {
  const types = Object.entries(STORAGE_DTYPES).map(([name, dtype]): [string, StorageType] => {
    return [`torch.${name}`, { kind: "storage type", dtype }];
  });
  return new Map(types);
}

/** ("storage", type, name, device, elements, ...) */
function describedStorage(file: string, id: PickleValue): DescribedStorage {
  const [tag, type, , , length] = Array.isArray(id) ? id : [];
  if (
    tag !== "storage" ||
    !isKind<StorageType>(type, "storage type") ||
    elementCount([length as number]) === undefined
  ) {
    throw bad(file, "it refers to something that is not a storage");
  }
  return { kind: "described", dtype: type.dtype, length: length as number };
}

/** (storage, offset, shape, strides, ...): contiguous from the storage's beginning, as torch.cat makes it. */
function tensor(file: string, args: readonly PickleValue[]): PickledTensor {
  const [from, offset, shape, strides] = args;
  const count = Array.isArray(shape) ? elementCount(shape as number[]) : undefined;
  if (!isKind<PickledStorage>(from, "storage") || count === undefined || !Array.isArray(strides)) {
    throw bad(file, "it is made of something that is not a storage");
  }
  const sizes = shape as number[];
  const contiguous = sizes.every((_, axis) => strides[axis] === elementCount(sizes.slice(axis + 1)));
  const bytes = count * DTYPE_BYTES[from.dtype];
  if (offset !== 0 || !contiguous || strides.length !== sizes.length || bytes > from.bytes.length) {
    throw bad(file, `shape [${sizes}] is not all of its storage in order`);
  }
  return { kind: "tensor", dtype: from.dtype, shape: sizes, bytes: from.bytes.subarray(0, bytes) };
}
