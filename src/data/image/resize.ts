import { ClipCapError } from "../../runtime/errors.js";
import type { RgbImage } from "./rgb.js";

/**
 * Bicubic resizing that returns the bytes Pillow returns (docs/facts.md 9): a = -0.5 cubic widened by the scale when shrinking,
 * weights in 22-bit fixed point, columns first, rows second, rounded to 8 bits in between.
 */

/** Fraction bits of a weight: 32 - 8 (sample) - 2 (negative lobes, sign), so that a sum fits an int32. */
const WEIGHT_BITS = 22;
const ROUND = 1 << (WEIGHT_BITS - 1);

/** A rectangle of the resized image. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** For each output position: where its source samples begin, how many there are, and their weights. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
  /** Distance in `weights` between two output positions. */
  readonly stride: number;
}

/**
 * `image` resized to width x height, of which only `window` (default: everything) is computed. The window matters:
 * a 3x500 picture becomes 224x37333 before 224 of these rows are kept.
 * @throws ClipCapError `bad-input` when a size is not a positive integer or the window leaves the resized image
 */
export function resize(image: RgbImage, width: number, height: number, window?: Window): RgbImage {
  const view = window ?? { left: 0, top: 0, width, height };
  checkWindow(image, width, height, view);
  const rows = taps(image.height, height, view.top, view.height);
  const firstRow = rows.first[0]!;
  const last = view.height - 1;
  const usedRows = rows.first[last]! + rows.count[last]! - firstRow;
  const columns = taps(image.width, width, view.left, view.width);
  const narrow =
    width === image.width
      ? copyColumns(image, view, firstRow, usedRows)
      : resizeColumns(image, columns, view.width, firstRow, usedRows);
  // At an unchanged height every output row has one source row of weight 1: `narrow` is already the answer.
  if (height === image.height) return { width: view.width, height: view.height, data: narrow };
  return { width: view.width, height: view.height, data: resizeRows(narrow, rows, view, firstRow) };
}

function checkWindow(image: RgbImage, width: number, height: number, view: Window): void {
  const sizes = [image.width, image.height, width, height, view.width, view.height];
  if (!sizes.every((n) => Number.isSafeInteger(n) && n > 0)) {
    throw new ClipCapError("bad-input", `image sizes must be positive integers, not ${sizes.join(", ")}.`);
  }
  if (image.data.length !== image.width * image.height * 3) {
    const shape = `${image.width}x${image.height}`;
    throw new ClipCapError("bad-input", `a ${shape} RGB image needs 3 bytes a pixel, not ${image.data.length} in all.`);
  }
  const inside = view.left >= 0 && view.top >= 0 && view.left + view.width <= width && view.top + view.height <= height;
  if (!inside) {
    const { left, top } = view;
    const window = `${view.width}x${view.height} at ${left},${top}`;
    throw new ClipCapError(
      "bad-input",
      `the window ${window} does not lie inside the resized ${width}x${height} image.`,
    );
  }
}

/** Keys's cubic with a = -0.5; zero from 2 on. */
function cubic(x: number): number {
  const a = -0.5;
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

/** Taps of output positions start .. start+count-1 of an axis that goes from `from` to `to` samples. */
function taps(from: number, to: number, start: number, count: number): Taps {
  const unchanged = from === to;
  const scale = from / to;
  const widening = Math.max(scale, 1);
  const support = 2 * widening;
  const stride = unchanged ? 1 : Math.ceil(support) * 2 + 1;
  const table: Taps = {
    first: new Int32Array(count),
    count: new Int32Array(count),
    weights: new Int32Array(count * stride),
    stride,
  };
  const exact = new Float64Array(stride);
  for (let i = 0; i < count; i++) {
    const centre = (start + i + 0.5) * scale;
    const low = unchanged ? start + i : Math.max(0, Math.trunc(centre - support + 0.5));
    const high = unchanged ? low + 1 : Math.min(from, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let k = low; k < high; k++) sum += exact[k - low] = cubic((k - centre + 0.5) * (1 / widening));
    for (let k = 0; k < high - low; k++) {
      const scaled = (exact[k]! / sum) * 2 ** WEIGHT_BITS;
      table.weights[i * stride + k] = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    }
    table.first[i] = low;
    table.count[i] = high - low;
  }
  return table;
}

/** Columns left .. left+width-1 of the rows that the vertical pass will read. */
function copyColumns(image: RgbImage, view: Window, firstRow: number, rows: number): Uint8Array {
  const out = new Uint8Array(rows * view.width * 3);
  for (let y = 0; y < rows; y++) {
    const from = ((firstRow + y) * image.width + view.left) * 3;
    out.set(image.data.subarray(from, from + view.width * 3), y * view.width * 3);
  }
  return out;
}

/**
 * The hot loop: 109 M multiplications for a 12-megapixel photo, kept in 32-bit integers by Math.imul. The clamped array
 * cuts the cubic's overshoots to 0..255.
 */
function resizeColumns(image: RgbImage, columns: Taps, width: number, firstRow: number, rows: number): Uint8Array {
  const { data } = image;
  const { first, count, weights, stride } = columns;
  const out = new Uint8ClampedArray(rows * width * 3);
  let to = 0;
  for (let y = 0; y < rows; y++) {
    const row = (firstRow + y) * image.width * 3;
    for (let x = 0; x < width; x++) {
      let from = row + first[x]! * 3;
      const begin = x * stride;
      const end = begin + count[x]!;
      let r = ROUND;
      let g = ROUND;
      let b = ROUND;
      for (let k = begin; k < end; k++) {
        const weight = weights[k]!;
        r = (r + Math.imul(data[from]!, weight)) | 0;
        g = (g + Math.imul(data[from + 1]!, weight)) | 0;
        b = (b + Math.imul(data[from + 2]!, weight)) | 0;
        from += 3;
      }
      out[to++] = r >> WEIGHT_BITS;
      out[to++] = g >> WEIGHT_BITS;
      out[to++] = b >> WEIGHT_BITS;
    }
  }
  return new Uint8Array(out.buffer);
}

/** `narrow` holds source rows from firstRow on, already `view.width` columns wide. */
function resizeRows(narrow: Uint8Array, rows: Taps, view: Window, firstRow: number): Uint8Array {
  const line = view.width * 3;
  const out = new Uint8ClampedArray(view.height * line);
  const sums = new Int32Array(line);
  for (let y = 0; y < view.height; y++) {
    sums.fill(ROUND);
    for (let k = 0; k < rows.count[y]!; k++) {
      const weight = rows.weights[y * rows.stride + k]!;
      const from = (rows.first[y]! - firstRow + k) * line;
      for (let i = 0; i < line; i++) sums[i] = (sums[i]! + Math.imul(narrow[from + i]!, weight)) | 0;
    }
    for (let i = 0; i < line; i++) out[y * line + i] = sums[i]! >> WEIGHT_BITS;
  }
  return new Uint8Array(out.buffer);
}
