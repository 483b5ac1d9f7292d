/** pixels [B, channels, S, S] -> [B*n, channels*P*P], patches row by row, inner order channel, y, x. */
export function patchesRef(
  pixels: ArrayLike<number>,
  batch: number,
  channels: number,
  size: number,
  patch: number,
): Float64Array {
  const grid = Math.floor(size / patch);
  const y: number[] = [];
  for (let b = 0; b < batch; b++) {
    for (let py = 0; py < grid; py++) {
      for (let px = 0; px < grid; px++) {
        for (let c = 0; c < channels; c++) {
          for (let dy = 0; dy < patch; dy++) {
            for (let dx = 0; dx < patch; dx++) {
              y.push(pixels[((b * channels + c) * size + py * patch + dy) * size + px * patch + dx]!);
            }
          }
        }
      }
    }
  }
  return Float64Array.from(y);
}

/** Class token first in every image, then its patches, plus positions [n + 1, C]. */
export function assembleTokensRef(
  patchOut: ArrayLike<number>,
  cls: ArrayLike<number>,
  positions: ArrayLike<number>,
  batch: number,
): Float64Array {
  const columns = cls.length;
  const perImage = patchOut.length / batch;
  const y: number[] = [];
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < positions.length; i++) {
      const value = i < columns ? cls[i]! : patchOut[b * perImage + i - columns]!;
      y.push(value + positions[i]!);
    }
  }
  return Float64Array.from(y);
}
