/** y [rows, C] = (x - mean) / sqrt(variance + eps) * weight + bias, row by row, in f64. */
export function layerNormRef(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number>,
  eps: number,
): Float64Array {
  const columns = weight.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    let mean = 0;
    for (let c = 0; c < columns; c++) mean += x[start + c]! / columns;
    let variance = 0;
    for (let c = 0; c < columns; c++) variance += (x[start + c]! - mean) ** 2 / columns;
    for (let c = 0; c < columns; c++) {
      y[start + c] = ((x[start + c]! - mean) / Math.sqrt(variance + eps)) * weight[c]! + bias[c]!;
    }
  }
  return y;
}

/** Gradients of `layerNormRef`'s inputs for the cotangent dy. */
export function layerNormBackwardRef(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  eps: number,
  dy: ArrayLike<number>,
): { dx: Float64Array; dweight: Float64Array; dbias: Float64Array } {
  const columns = weight.length;
  const ones = new Float64Array(columns).fill(1);
  const normed = layerNormRef(x, ones, new Float64Array(columns), eps);
  const dx = new Float64Array(x.length);
  const dweight = new Float64Array(columns);
  const dbias = new Float64Array(columns);
  for (let start = 0; start < x.length; start += columns) {
    let mean = 0;
    for (let c = 0; c < columns; c++) mean += x[start + c]! / columns;
    let variance = 0;
    for (let c = 0; c < columns; c++) variance += (x[start + c]! - mean) ** 2 / columns;
    let gMean = 0;
    let gnMean = 0;
    for (let c = 0; c < columns; c++) {
      const g = dy[start + c]! * weight[c]!;
      gMean += g / columns;
      gnMean += (g * normed[start + c]!) / columns;
      dweight[c]! += dy[start + c]! * normed[start + c]!;
      dbias[c]! += dy[start + c]!;
    }
    for (let c = 0; c < columns; c++) {
      const g = dy[start + c]! * weight[c]!;
      dx[start + c] = (g - gMean - normed[start + c]! * gnMean) / Math.sqrt(variance + eps);
    }
  }
  return { dx, dweight, dbias };
}
