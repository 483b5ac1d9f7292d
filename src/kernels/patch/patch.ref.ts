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

/** Gradient of the pixels: each patch value goes back to its pixel. */
export function patchesBackwardRef(
  dy: ArrayLike<number>,
  batch: number,
  channels: number,
  size: number,
  patch: number,
): Float64Array {
  const count = batch * channels * size * size;
  const places = patchesRef(
    Float64Array.from({ length: count }, (_, i) => i),
    batch,
    channels,
    size,
    patch,
  );
  const dx = new Float64Array(count);
  places.forEach((place, i) => {
    dx[place]! += dy[i]!;
  });
  return dx;
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

/** Gradients of `assembleTokensRef`'s inputs. */
export function assembleTokensBackwardRef(
  dy: ArrayLike<number>,
  columns: number,
  length: number,
): { dpatches: Float64Array; dcls: Float64Array; dpositions: Float64Array } {
  const dcls = new Float64Array(columns);
  const dpositions = new Float64Array(length * columns);
  const dpatches: number[] = [];
  for (let i = 0; i < dy.length; i++) {
    const token = Math.floor(i / columns) % length;
    dpositions[token * columns + (i % columns)]! += dy[i]!;
    if (token === 0) dcls[i % columns]! += dy[i]!;
    else dpatches.push(dy[i]!);
  }
  return { dpatches: Float64Array.from(dpatches), dcls, dpositions };
}
