/** softmax of each row of x [rows, C] in f64. */
export function softmaxRef(x: ArrayLike<number>, columns: number): Float64Array {
  return logSoftmaxRef(x, columns).map(Math.exp);
}

/** x - log sum exp(x) of each row of x [rows, C] in f64. */
export function logSoftmaxRef(x: ArrayLike<number>, columns: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    let highest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < columns; c++) highest = Math.max(highest, x[start + c]!);
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += Math.exp(x[start + c]! - highest);
    for (let c = 0; c < columns; c++) y[start + c] = x[start + c]! - highest - Math.log(sum);
  }
  return y;
}

/** Gradient of softmax's x: y (dy - sum(y dy)) for each row. */
export function softmaxBackwardRef(x: ArrayLike<number>, dy: ArrayLike<number>, columns: number): Float64Array {
  const y = softmaxRef(x, columns);
  const dx = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += y[start + c]! * dy[start + c]!;
    for (let c = 0; c < columns; c++) dx[start + c] = y[start + c]! * (dy[start + c]! - sum);
  }
  return dx;
}

/** Gradient of logSoftmax's x: dy - softmax(x) sum(dy) for each row. */
export function logSoftmaxBackwardRef(x: ArrayLike<number>, dy: ArrayLike<number>, columns: number): Float64Array {
  const y = softmaxRef(x, columns);
  const dx = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += dy[start + c]!;
    for (let c = 0; c < columns; c++) dx[start + c] = dy[start + c]! - y[start + c]! * sum;
  }
  return dx;
}
