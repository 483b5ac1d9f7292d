import { values } from "../bench/cases/case.js";
import type { WeightType } from "../kernels/matmul/weight.wgsl.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import type { Tensor } from "../runtime/tensor.js";
import { f16ToF32, f32ToF16 } from "../weights/float.js";

/** Values repeat after so many: drawing all 38 million of GPT-2's logits takes seconds. A prime, so that no two rows are alike. */
const PERIOD = 1_000_003;

/** Values as they are stored, and what they stand for. */
interface Period {
  readonly stored: Float32Array | Uint16Array | Int8Array;
  readonly value: Float32Array;
}

const periods = new Map<WeightType, Period>();

function periodOf(weight: WeightType): Period {
  const known = periods.get(weight);
  if (known) return known;
  const drawn = values("operand", PERIOD);
  const period = PACK[weight](drawn);
  periods.set(weight, period);
  return period;
}

const PACK: Readonly<Record<WeightType, (drawn: Float32Array) => Period>> = {
  f32: (drawn) => ({ stored: drawn, value: drawn }),
  f16: (drawn) => {
    const stored = f32ToF16(drawn);
    return { stored, value: f16ToF32(stored) };
  },
  q8: (drawn) => {
    const stored = Int8Array.from(drawn, (x) => Math.round(127 * x));
    return { stored, value: Float32Array.from(stored) };
  },
};

/** A matrix on the device that can be multiplied with a vector on the host, in f64. */
export class Operand {
  readonly tensor: Tensor;
  private readonly value: Float32Array;
  /** Factors of the rows of q8. */
  private readonly scales: Float32Array<ArrayBuffer> | undefined;

  /** Undefined where the device has no memory for it. */
  static fitting(...made: ConstructorParameters<typeof Operand>): Operand | undefined {
    try {
      return new Operand(...made);
    } catch (error) {
      if (error instanceof ClipCapError && error.code === "out-of-memory") return undefined;
      throw error;
    }
  }

  constructor(
    private readonly device: Device,
    private readonly shape: readonly [rows: number, columns: number],
    weight: WeightType,
  ) {
    const [rows, columns] = shape;
    const { stored, value } = periodOf(weight);
    this.value = value;
    this.scales = weight === "q8" ? values("scales", rows).map((x) => 0.01 + 0.001 * x) : undefined;
    const scale = this.scales && device.tensor("tune.scale", [rows]);
    if (scale) device.write(scale, this.scales!);
    try {
      this.tensor = device.tensor(`tune.${weight}`, shape, weight, { scale });
    } catch (error) {
      if (scale) device.free(scale);
      throw error;
    }
    const all = new (stored.constructor as Float32ArrayConstructor)(rows * columns);
    for (let at = 0; at < all.length; at += PERIOD) all.set(stored.subarray(0, all.length - at), at);
    device.write(this.tensor, all);
  }

  /** The matrix, or its transpose, times `v`. */
  times(v: ArrayLike<number>, { transposed }: { readonly transposed: boolean }): Float64Array {
    const [rows, columns] = this.shape;
    const out = new Float64Array(transposed ? columns : rows);
    for (let row = 0, i = 0; row < rows; row++) {
      const scale = this.scales?.[row] ?? 1;
      const factor = transposed ? scale * v[row]! : scale;
      let sum = 0;
      for (let column = 0; column < columns; column++) {
        const x = this.value[i]!;
        if (transposed) out[column]! += factor * x;
        else sum += x * v[column]!;
        if (++i === PERIOD) i = 0;
      }
      if (!transposed) out[row] = factor * sum;
    }
    return out;
  }

  free(): void {
    this.device.free(this.tensor);
  }
}
