import type { Random } from "../random.js";
import { resize } from "./resize.js";
import type { RgbImage } from "./rgb.js";

/** Random changes to a training picture. */
export interface Augmentation {
  /** Share of the picture's area that is kept, and ratio of width to height of what is kept, each drawn between two numbers. */
  readonly area: readonly [number, number];
  readonly ratio: readonly [number, number];
  /** Whether every other picture is mirrored. */
  readonly flip: boolean;
  /** Largest relative change of brightness, contrast and saturation. */
  readonly jitter: number;
}

/** A rectangle that does not fit is drawn again, at most this often; then the whole picture is taken. */
const TRIES = 10;

/** Numbers of `random` in use: 0 to 39 for the rectangle, then one each. */
const DRAWS = { flip: 40, brightness: 41, contrast: 42, saturation: 43 } as const;

/**
 * A random part of the picture, resized to width x height, perhaps mirrored, its colours shifted a little. The same
 * numbers give the same picture.
 */
export function augment(image: RgbImage, width: number, height: number, a: Augmentation, random: Random): RgbImage {
  const part = resize(cut(image, a, random), width, height);
  if (a.flip && random.uniform(DRAWS.flip) < 0.5) mirror(part);
  if (a.jitter > 0) {
    const factor = (draw: number) => 1 + a.jitter * (2 * random.uniform(draw) - 1);
    shiftColours(part.data, factor(DRAWS.brightness), factor(DRAWS.contrast), factor(DRAWS.saturation));
  }
  return part;
}

function cut(image: RgbImage, { area, ratio }: Augmentation, random: Random): RgbImage {
  const between = ([low, high]: readonly [number, number], draw: number) => low + (high - low) * random.uniform(draw);
  const logs = [Math.log(ratio[0]), Math.log(ratio[1])] as const;
  for (let i = 0; i < TRIES; i++) {
    const size = image.width * image.height * between(area, 4 * i);
    const shape = Math.exp(between(logs, 4 * i + 1));
    const width = Math.round(Math.sqrt(size * shape));
    const height = Math.round(Math.sqrt(size / shape));
    if (width < 1 || height < 1 || width > image.width || height > image.height) continue;
    const left = random.below(image.width - width + 1, 4 * i + 2);
    const top = random.below(image.height - height + 1, 4 * i + 3);
    return rectangle(image, left, top, width, height);
  }
  return image;
}

function rectangle(image: RgbImage, left: number, top: number, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(start, start + width * 3), y * width * 3);
  }
  return { width, height, data };
}

function mirror({ width, height, data }: RgbImage): void {
  for (let y = 0; y < height; y++) {
    for (let a = y * width * 3, b = a + (width - 1) * 3; a < b; a += 3, b -= 3) {
      for (let c = 0; c < 3; c++) [data[a + c], data[b + c]] = [data[b + c]!, data[a + c]!];
    }
  }
}

/** Luma of ITU-R BT.601, as everywhere. */
const LUMA = [0.299, 0.587, 0.114] as const;

function shiftColours(data: Uint8Array, brightness: number, contrast: number, saturation: number): void {
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += luma(data[i]!, data[i + 1]!, data[i + 2]!);
  const mean = (brightness * sum) / (data.length / 3);
  for (let i = 0; i < data.length; i += 3) {
    const [r, g, b] = [data[i]!, data[i + 1]!, data[i + 2]!].map((v) => mean + contrast * (brightness * v - mean));
    const grey = luma(r!, g!, b!);
    data[i] = clamp(grey + saturation * (r! - grey));
    data[i + 1] = clamp(grey + saturation * (g! - grey));
    data[i + 2] = clamp(grey + saturation * (b! - grey));
  }
}

function luma(r: number, g: number, b: number): number {
  return LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
}

function clamp(v: number): number {
  return Math.max(0, Math.min(255, Math.round(v)));
}
