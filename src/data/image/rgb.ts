/** A decoded picture: 8-bit sRGB as stored in the file, interleaved R G B, rows from the top, no padding. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** length = width * height * 3 */
  readonly data: Uint8Array;
}

/**
 * Largest picture that is decoded without asking: 178,956,970 pixels, the size at which Pillow refuses a file as a
 * decompression bomb (twice 256 MiB / 3). Decoded it takes 537 MB, far above any camera.
 */
export const MAX_PIXELS = 178_956_970;

/**
 * Interleaved samples with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha) channels as RGB.
 * Alpha is dropped and the hidden colour kept, as Pillow's `convert("RGB")` does.
 */
export function rgbFromChannels(data: Uint8Array | Uint8ClampedArray, pixels: number, channels: number): Uint8Array {
  if (channels === 3) return new Uint8Array(data.buffer, data.byteOffset, pixels * 3);
  const rgb = new Uint8Array(pixels * 3);
  const [green, blue] = channels === 4 ? [1, 2] : [0, 0];
  for (let pixel = 0, from = 0, to = 0; pixel < pixels; pixel++, from += channels, to += 3) {
    rgb[to] = data[from]!;
    rgb[to + 1] = data[from + green]!;
    rgb[to + 2] = data[from + blue]!;
  }
  return rgb;
}

/**
 * Interleaved C M Y K as RGB with Pillow's rounding: (255 - K) - (C * (255 - K)) / 255, the division rounded as
 * ((t >> 8) + t) >> 8 with t = product + 128. No colour profile is involved.
 */
export function rgbFromCmyk(data: Uint8Array, pixels: number): Uint8Array {
  const rgb = new Uint8Array(pixels * 3);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const light = 255 - data[pixel * 4 + 3]!;
    for (let c = 0; c < 3; c++) {
      const t = data[pixel * 4 + c]! * light + 128;
      rgb[pixel * 3 + c] = light - (((t >> 8) + t) >> 8);
    }
  }
  return rgb;
}
