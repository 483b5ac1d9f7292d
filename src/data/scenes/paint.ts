import type { RgbImage } from "../image/rgb.js";
import { UNITS } from "./scene.js";

/** Corners x0, y0, x1, y1, ... of a polygon, in units of 1/64 of the picture's side. */
export type Polygon = readonly number[];
export type Rgb = readonly [red: number, green: number, blue: number];

/** Samples of a pixel along each axis: 16 in all, hence 17 levels of coverage. */
const SAMPLES = 4;

/**
 * Fills a polygon (even-odd) with one colour, edges smoothed by counting samples. Only + - * / and comparisons of
 * doubles, which IEEE 754 defines to the bit, decide which samples lie inside.
 */
export function fill({ width, height, data }: RgbImage, polygon: Polygon, colour: Rgb): void {
  const scale = (width * SAMPLES) / UNITS;
  const corners = polygon.map((value) => value * scale);
  const [left, right] = extent(corners, 0, width);
  const [top, bottom] = extent(corners, 1, height);
  const steps = new Int8Array(width + 2);
  for (let row = top; row < bottom; row++) {
    steps.fill(0, left, right + 2);
    for (let y = row * SAMPLES; y < (row + 1) * SAMPLES; y++) countRow(steps, crossings(corners, y + 0.5), width);
    for (let x = left, inside = 0; x < right; x++) {
      inside += steps[x]!;
      if (inside > 0) blendPixel(data, 3 * (row * width + x), inside, colour);
    }
  }
}

/** First and one past the last pixel of 0 ... length - 1 that the corners (in samples) reach along an axis. */
function extent(corners: readonly number[], axis: 0 | 1, length: number): readonly [number, number] {
  let least = length * SAMPLES;
  let most = 0;
  for (let i = axis; i < corners.length; i += 2) {
    least = Math.min(least, corners[i]!);
    most = Math.max(most, corners[i]!);
  }
  return [Math.max(0, Math.floor(least / SAMPLES)), Math.min(length, Math.ceil(most / SAMPLES))];
}

/** x of the polygon's edges at height y, ascending. */
function crossings(corners: readonly number[], y: number): number[] {
  const found: number[] = [];
  let x0 = corners[corners.length - 2]!;
  let y0 = corners[corners.length - 1]!;
  for (let i = 0; i < corners.length; i += 2) {
    const x1 = corners[i]!;
    const y1 = corners[i + 1]!;
    if (y0 <= y !== y1 <= y) found.push(x0 + ((y - y0) * (x1 - x0)) / (y1 - y0));
    x0 = x1;
    y0 = y1;
  }
  return found.sort((a, b) => a - b);
}

/** Counts one row of samples, which lie at i + 0.5; `steps` gets differences of one pixel's count to the next one's. */
function countRow(steps: Int8Array, edges: readonly number[], width: number): void {
  for (let i = 0; i < edges.length; i++) {
    const sample = Math.min(width * SAMPLES, Math.max(0, Math.ceil(edges[i]! - 0.5)));
    const pixel = Math.floor(sample / SAMPLES);
    const passed = sample - pixel * SAMPLES;
    const sign = i % 2 === 0 ? 1 : -1;
    steps[pixel]! += sign * (SAMPLES - passed);
    steps[pixel + 1]! += sign * passed;
  }
}

function blendPixel(data: Uint8Array, at: number, inside: number, [r, g, b]: Rgb): void {
  const outside = 16 - inside;
  data[at] = (data[at]! * outside + r * inside + 8) >> 4;
  data[at + 1] = (data[at + 1]! * outside + g * inside + 8) >> 4;
  data[at + 2] = (data[at + 2]! * outside + b * inside + 8) >> 4;
}

/** Colours run from `top` at the upper edge to `bottom` at height `end` (in units), which goes on below it. */
export function gradient({ width, height, data }: RgbImage, top: Rgb, bottom: Rgb, end: number): void {
  for (let row = 0; row < height; row++) {
    const share = Math.min(256, Math.floor((row * UNITS * 256) / (height * end)));
    for (let c = 0; c < 3; c++) {
      const value = (top[c]! * (256 - share) + bottom[c]! * share) >> 8;
      for (let x = 0; x < width; x++) data[(row * width + x) * 3 + c] = value;
    }
  }
}

/** `a` with `part` of 8 replaced by `b`. */
export function blend(a: Rgb, b: Rgb, part: number): Rgb {
  return a.map((value, c) => (value * (8 - part) + b[c]! * part) >> 3) as unknown as Rgb;
}

export function rectangle(x: number, y: number, width: number, height: number): Polygon {
  return [x, y, x + width, y, x + width, y + height, x, y + height];
}

/** Corners of the unit circle at multiples of 11.25 degrees, from t = tan(half the angle): rational, no sine. */
const CIRCLE = circle(8);

function circle(perQuarter: number): readonly (readonly [x: number, y: number])[] {
  // tan(22.5 degrees) as far as a double goes; within 45 degrees equal steps of t are nearly equal angles.
  const octant = Array.from({ length: perQuarter / 2 + 1 }, (_, i) => {
    const t = (0.41421356237309503 * 2 * i) / perQuarter;
    return [(1 - t * t) / (1 + t * t), (2 * t) / (1 + t * t)] as const;
  });
  const quarter = [
    ...octant,
    ...octant
      .slice(1, -1)
      .reverse()
      .map(([x, y]) => [y, x] as const),
  ];
  const half = [...quarter, ...quarter.map(([x, y]) => [-y, x] as const)];
  return [...half, ...half.map(([x, y]) => [-x, -y] as const)];
}

/** An ellipse as a polygon of 32 corners. */
export function ellipse(x: number, y: number, rx: number, ry: number): Polygon {
  const corners: number[] = [];
  for (const [u, v] of CIRCLE) corners.push(x + rx * u, y + ry * v);
  return corners;
}
