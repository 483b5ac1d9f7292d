import { ClipCapError } from "../runtime/errors.js";

let halfTable: Uint32Array | undefined;

/** f32 bits of all 65,536 halves (256 KiB, made once): 18 M values in 80 ms on a busy core, mostly the new memory. */
function halfToSingleBits(): Uint32Array {
  if (halfTable) return halfTable;
  const table = new Uint32Array(65536);
  for (let half = 0; half < 0x8000; half++) {
    const exponent = half >>> 10;
    const mantissa = half & 0x3ff;
    let bits: number;
    if (exponent === 31) bits = 0x7f800000 | (mantissa << 13);
    else if (exponent > 0) bits = ((exponent + 112) << 23) | (mantissa << 13);
    else if (mantissa === 0) bits = 0;
    else {
      const shift = Math.clz32(mantissa) - 21; // a subnormal half is a normal single: move its first 1 to bit 10
      bits = ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13);
    }
    table[half] = bits;
    table[half | 0x8000] = (bits | 0x80000000) >>> 0;
  }
  return (halfTable = table);
}

/** IEEE half (as uint16) to f32, exact; payloads of NaN are kept. */
export function f16ToF32(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const table = halfToSingleBits();
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = table[halves[i]!]!;
  return new Float32Array(bits.buffer);
}

/** f32 to IEEE half, rounded to nearest even; above 65519.996 becomes infinity, NaN stays NaN. */
export function f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i]!;
    const magnitude = x & 0x7fffffff;
    const sign = (x >>> 16) & 0x8000;
    if (magnitude >= 0x38800000 && magnitude < 0x477ff000) {
      // Normal range: re-bias the exponent by 127 - 15 and add just under half a unit, one more when the result is odd.
      halves[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else if (magnitude > 0x7f800000) {
      halves[i] = sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
    } else if (magnitude >= 0x477ff000) {
      halves[i] = sign | 0x7c00;
    } else {
      halves[i] = sign | subnormalHalf(magnitude);
    }
  }
  return halves;
}

/** |x| < 2^-14 in units of 2^-24, to nearest even (1024 is the smallest normal half, as it should be). */
function subnormalHalf(magnitude: number): number {
  const shift = 126 - (magnitude >>> 23); // 14 for the largest exponent, 24 and more rounds to 0 or 1
  if (shift > 24) return 0;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const floor = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return floor + (rest > half || (rest === half && (floor & 1) === 1) ? 1 : 0);
}

/** bfloat16 (as uint16) to f32, exact. */
export function bf16ToF32(values: Uint16Array): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) bits[i] = values[i]! << 16;
  return new Float32Array(bits.buffer);
}

export interface QuantizedRows {
  /** [rows, columns], row-major, in -127..127. */
  readonly values: Int8Array<ArrayBuffer>;
  /** [rows]; value = int8 * scale. */
  readonly scales: Float32Array<ArrayBuffer>;
}

/**
 * Symmetric q8: the scale of a row is max|row| / 127, so the error is at most half a scale; a row of zeros has scale 0.
 * @throws ClipCapError `bad-weights` when a value is not finite; `name` is the tensor's, for that message.
 */
export function quantizeRows(values: Float32Array, rows: number, columns: number, name = "The matrix"): QuantizedRows {
  const out = new Int8Array(rows * columns);
  const scales = rowScales(name, values, columns);
  for (let r = 0; r < rows; r++) {
    const scale = scales[r]!;
    if (scale === 0) continue;
    for (let i = r * columns; i < (r + 1) * columns; i++) {
      // A subnormal scale is so coarse that max / scale exceeds 127.
      out[i] = Math.max(-127, Math.min(127, Math.round(values[i]! / scale)));
    }
  }
  return { values: out, scales };
}

/** The scales of quantizeRows alone; the number of rows is values.length / columns. */
export function rowScales(name: string, values: Float32Array, columns: number): Float32Array<ArrayBuffer> {
  const scales = new Float32Array(values.length / columns);
  for (let r = 0; r < scales.length; r++) {
    let max = 0;
    let sum = 0; // becomes NaN with any value that is not finite, which max alone would miss
    for (let i = r * columns; i < (r + 1) * columns; i++) {
      const value = values[i]!;
      max = Math.max(max, Math.abs(value));
      sum += value * 0;
    }
    if (sum !== 0)
      throw new ClipCapError(
        "bad-weights",
        `${name} holds a value that is not finite in row ${r}; it cannot become q8.`,
      );
    scales[r] = max / 127;
  }
  return scales;
}

/** f32 values of q8 rows; the number of columns is values.length / scales.length. */
export function dequantizeRows(values: Int8Array, scales: Float32Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  const columns = scales.length === 0 ? 0 : values.length / scales.length;
  for (let r = 0; r < scales.length; r++) {
    const scale = scales[r]!;
    for (let i = r * columns; i < (r + 1) * columns; i++) out[i] = values[i]! * scale;
  }
  return out;
}
