import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { Tensor } from "../runtime/tensor.js";
import { f32ToF16, quantizeRows } from "../weights/float.js";
import { type TensorFile, tensorInfo } from "../weights/tensor-file.js";

/** How matrices are kept on the GPU. Vectors (biases, norms, positions) are always f32. */
export const WEIGHT_DTYPES = ["f32", "f16", "q8"] as const;
export type WeightDType = (typeof WEIGHT_DTYPES)[number];

export interface WeightOptions {
  readonly dtype: WeightDType;
  /** The label under which `device.memory()` counts them. */
  readonly account: string;
  /** Called with the bytes of the file's tensors that have been uploaded since the last call. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
  /** Where trained tensors lie, all of them f32; without it they get buffers of their own and are frozen. */
  readonly allocate?: (label: string, shape: readonly number[]) => Tensor;
}

/** A tensor on the GPU and the tensors of the file that it was made of, one below the other. */
export interface LoadedTensor {
  readonly tensor: Tensor;
  readonly pieces: readonly { readonly name: string; readonly rows: number }[];
  /** The file holds [in, out] (Conv1D); the tensor is [out, in]. */
  readonly transposed: boolean;
}

/** A torch Linear: weight [out, in], bias [out]. */
export interface LinearWeights {
  readonly weight: Tensor;
  readonly bias?: Tensor;
}

export interface NormWeights {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** Rows are read, converted and written in pieces of about this many bytes of f32. */
const PIECE_BYTES = 16 * 2 ** 20;
/** The queue copies what is written to it; waiting this often bounds the host's memory while a model loads. */
const FLUSH_BYTES = 32 * 2 ** 20;

/**
 * Uploads tensors of one file. All matrices end up as [out, in], whatever the file's layout, so that a single family
 * of kernels serves every linear layer; q, k and v are stacked into one matrix.
 */
export class WeightLoader {
  /** In the order of loading: what an export or a checkpoint goes by. */
  readonly loaded: LoadedTensor[] = [];
  private readonly owned: Tensor[] = [];
  private unflushed = 0;

  constructor(
    readonly device: Device,
    readonly file: TensorFile,
    private readonly options: WeightOptions,
  ) {}

  /** f32 tensors of the given shape, concatenated along the first axis when there are several. */
  async vector(names: string | readonly string[], shape: readonly number[]): Promise<Tensor> {
    const list = typeof names === "string" ? [names] : names;
    const each = [shape[0]! / list.length, ...shape.slice(1)];
    const pieces = list.map((name) => ({ name, rows: each[0]! }));
    const out = this.allocate({ pieces, transposed: false }, shape, "f32");
    for (const [i, name] of list.entries()) {
      this.expect(name, each);
      if (isListed(out)) continue;
      this.device.write(out, finite(name, await this.file.readF32(name)), i * each[0]!);
      await this.wrote(name);
    }
    return out;
  }

  /** [out, in] matrices of equal shape, stacked along `out`. */
  matrix(names: string | readonly string[], [rows, columns]: readonly [number, number]): Promise<Tensor> {
    const list = typeof names === "string" ? [names] : names;
    const pieces = list.map((name) => ({ name, rows: rows / list.length }));
    return this.stack(pieces, columns);
  }

  /** [out, in] matrices, each with its number of rows, stacked along `out`. */
  async stack(pieces: LoadedTensor["pieces"], columns: number): Promise<Tensor> {
    const total = pieces.reduce((n, { rows }) => n + rows, 0);
    const out = this.allocate({ pieces, transposed: false }, [total, columns], this.packedType(columns));
    const step = Math.max(1, Math.floor(PIECE_BYTES / (4 * columns)));
    let first = 0;
    for (const { name, rows } of pieces) {
      this.expect(name, [rows, columns]);
      if (isListed(out)) continue;
      for (let row = 0; row < rows; row += step) {
        const end = Math.min(rows, row + step);
        this.put(out, finite(name, await this.file.readF32(name, { rows: [row, end] })), first + row);
        await this.flush();
      }
      first += rows;
      await this.wrote(name);
    }
    return out;
  }

  /** GPT-2's Conv1D keeps [in, out]; turned to [out, in]. */
  async conv1d(name: string, [rows, columns]: readonly [number, number]): Promise<Tensor> {
    this.expect(name, [columns, rows]);
    const pieces = [{ name, rows }];
    const out = this.allocate({ pieces, transposed: true }, [rows, columns], this.packedType(columns));
    if (isListed(out)) return out;
    this.put(out, transpose(finite(name, await this.file.readF32(name)), columns, rows), 0);
    await this.wrote(name);
    return out;
  }

  async norm(name: string, width: number): Promise<NormWeights> {
    return {
      weight: await this.vector(`${name}.weight`, [width]),
      bias: await this.vector(`${name}.bias`, [width]),
    };
  }

  /** A torch Linear (or several stacked) of the given out and in sizes. */
  async linear(names: string | readonly string[], shape: readonly [number, number]): Promise<LinearWeights> {
    const list = typeof names === "string" ? [names] : names;
    return {
      weight: await this.matrix(suffixed(list, ".weight"), shape),
      bias: await this.vector(suffixed(list, ".bias"), [shape[0]]),
    };
  }

  free(): void {
    for (const tensor of this.owned) this.device.free(tensor);
  }

  private packedType(columns: number): WeightDType {
    // Packed rows must fill whole words; trained weights must be f32.
    return columns % 4 === 0 && !this.options.allocate ? this.options.dtype : "f32";
  }

  private allocate(made: Omit<LoadedTensor, "tensor">, shape: readonly number[], dtype: WeightDType): Tensor {
    const { account, allocate } = this.options;
    const label = made.pieces.map(({ name }) => name).join("|");
    const scale = dtype === "q8" ? this.device.tensor(`${label}.scale`, [shape[0]!], "f32", { account }) : undefined;
    let tensor: Tensor;
    try {
      tensor = allocate?.(label, shape) ?? this.device.tensor(label, shape, dtype, { account, scale });
    } catch (error) {
      if (scale) this.device.free(scale);
      throw error;
    }
    if (!allocate) this.owned.push(tensor);
    this.loaded.push({ ...made, tensor });
    return tensor;
  }

  private put(tensor: Tensor, values: Float32Array, row: number): void {
    if (tensor.dtype === "f16") {
      this.device.write(tensor, f32ToF16(values), row);
    } else if (tensor.dtype === "q8") {
      const columns = tensor.shape[1]!;
      const q = quantizeRows(values, values.length / columns, columns);
      this.device.write(tensor, q.values, row);
      this.device.write(tensor.scale!, q.scales, row);
    } else {
      this.device.write(tensor, values, row);
    }
    this.unflushed += values.byteLength;
  }

  private async wrote(name: string): Promise<void> {
    this.options.onBytes?.(tensorInfo(this.file, name).byteLength);
    await this.flush();
  }

  private async flush(): Promise<void> {
    if (this.options.signal?.aborted) throw new ClipCapError("aborted", `loading ${this.file.name} was stopped`);
    if (this.unflushed < FLUSH_BYTES) return;
    this.unflushed = 0;
    await this.device.settle();
    await this.device.idle();
  }

  private expect(name: string, shape: readonly number[]): void {
    const info = tensorInfo(this.file, name);
    const joined = (s: readonly number[]) => s.join("x");
    const same = info.shape.reduce((a, b) => a * b, 1) === shape.reduce((a, b) => a * b, 1);
    if (same && (info.shape[0] ?? 1) === (shape[0] ?? 1)) return;
    throw new ClipCapError(
      "bad-weights",
      `${this.file.name}: ${name} is ${joined(info.shape)}, but the config file asks for ${joined(shape)}; ` +
        "use the config.json that belongs to these weights",
    );
  }
}

/**
 * What `load` would put on the GPU, by the header of its file: nothing is read or allocated. So parameters can be counted
 * and placed before a `WeightLoader` that is given their place (`allocate`) fills them.
 * @throws ClipCapError `bad-weights` for tensors that are missing or of another shape.
 */
export async function listWeights(
  device: Device,
  file: TensorFile,
  load: (w: WeightLoader) => Promise<unknown>,
): Promise<readonly LoadedTensor[]> {
  const allocate = (label: string, shape: readonly number[]) =>
    new Tensor(label, shape, "f32", { kind: "buffers", parts: [] });
  const loader = new WeightLoader(device, file, { dtype: "f32", account: "listed", allocate });
  await load(loader);
  return loader.loaded;
}

/** A tensor of a list has no place. */
function isListed({ storage }: Tensor): boolean {
  return storage.kind === "buffers" && storage.parts.length === 0;
}

/**
 * The tensors of the file that `values`, those of a loaded tensor, come from: matrices as [rows, columns] of the file,
 * Conv1D turned back to [in, out].
 */
export function unstacked(
  { tensor, pieces, transposed }: LoadedTensor,
  values: Float32Array,
): { readonly name: string; readonly shape: readonly number[]; readonly values: Float32Array }[] {
  const [, ...rest] = tensor.shape;
  const perRow = tensor.size / tensor.rows;
  let first = 0;
  return pieces.map(({ name, rows }) => {
    const piece = values.slice(first * perRow, (first + rows) * perRow);
    first += rows;
    if (!transposed) return { name, shape: [rows, ...rest], values: piece };
    return { name, shape: [...rest, rows], values: transpose(piece, rows, perRow) };
  });
}

/** NaN would pass through a model without a word: captions of it are nonsense with a good score. */
function finite(name: string, values: Float32Array): Float32Array {
  let sum = 0; // of zeros, unless NaN or infinity is among them: a test of each would take three times as long
  for (let i = 0; i < values.length; i++) sum += 0 * values[i]!;
  if (sum === 0) return values;
  throw new ClipCapError("bad-weights", `${name} holds NaN or infinity; the file is damaged, or training diverged`);
}

function suffixed(names: readonly string[], suffix: string): string[] {
  return names.map((n) => n + suffix);
}

/** [rows, columns] -> [columns, rows], in blocks that stay in the cache. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const BLOCK = 32;
  const out = new Float32Array(values.length);
  for (let r0 = 0; r0 < rows; r0 += BLOCK) {
    const r1 = Math.min(rows, r0 + BLOCK);
    for (let c0 = 0; c0 < columns; c0 += BLOCK) {
      const c1 = Math.min(columns, c0 + BLOCK);
      for (let c = c0; c < c1; c++) for (let r = r0; r < r1; r++) out[c * rows + r] = values[r * columns + c]!;
    }
  }
  return out;
}
