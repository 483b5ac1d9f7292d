/** x / ||x|| for each row of x [rows, C] in f64; zeros for a row of zeros. */
export function l2NormalizeRef(x: ArrayLike<number>, columns: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    let squares = 0;
    for (let c = 0; c < columns; c++) squares += x[start + c]! ** 2;
    if (squares === 0) continue;
    for (let c = 0; c < columns; c++) y[start + c] = x[start + c]! / Math.sqrt(squares);
  }
  return y;
}

/** Gradient of x: (dy - y (y . dy)) / ||x|| for each row; zeros for a row of zeros, which has none. */
export function l2NormalizeBackwardRef(x: ArrayLike<number>, dy: ArrayLike<number>, columns: number): Float64Array {
  const y = l2NormalizeRef(x, columns);
  const dx = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    let squares = 0;
    let along = 0;
    for (let c = 0; c < columns; c++) {
      squares += x[start + c]! ** 2;
      along += y[start + c]! * dy[start + c]!;
    }
    if (squares === 0) continue;
    for (let c = 0; c < columns; c++) dx[start + c] = (dy[start + c]! - y[start + c]! * along) / Math.sqrt(squares);
  }
  return dx;
}
