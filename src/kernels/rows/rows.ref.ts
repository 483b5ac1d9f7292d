/** Rows `index[i]` of x [rows, C]. */
export function pickRowsRef(x: ArrayLike<number>, columns: number, index: readonly number[]): Float64Array {
  return Float64Array.from({ length: index.length * columns }, (_, i) => {
    return x[index[Math.floor(i / columns)]! * columns + (i % columns)]!;
  });
}

/** Gradient of `pickRowsRef`'s x [rows, C]: dy's rows, added where they were picked. */
export function pickRowsBackwardRef(
  dy: ArrayLike<number>,
  columns: number,
  index: readonly number[],
  rows: number,
): Float64Array {
  const dx = new Float64Array(rows * columns);
  index.forEach((row, i) => {
    for (let c = 0; c < columns; c++) dx[row * columns + c]! += dy[i * columns + c]!;
  });
  return dx;
}

/** Row numbers start, start + stride, ... */
export function strided(start: number, stride: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => start + i * stride);
}

/** Row numbers of items [from, to) in each of `batch` sequences of `length`. */
export function sliced(batch: number, length: number, from: number, to: number): number[] {
  return strided(0, length, batch).flatMap((first) => strided(first + from, 1, to - from));
}

/** a [B*Ta, C] and b [B*Tb, C], or [Tb, C] for every sequence, joined sequence by sequence. */
export function concatRowsRef(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  batch: number,
  shared: boolean,
): Float64Array {
  const pieceA = a.length / batch;
  const pieceB = shared ? b.length : b.length / batch;
  const y: number[] = [];
  for (let n = 0; n < batch; n++) {
    for (let i = 0; i < pieceA; i++) y.push(a[n * pieceA + i]!);
    for (let i = 0; i < pieceB; i++) y.push(b[(shared ? 0 : n * pieceB) + i]!);
  }
  return Float64Array.from(y);
}

/** Gradients of `concatRowsRef`'s inputs; `sizeA` and `sizeB` are theirs in elements. */
export function concatRowsBackwardRef(
  dy: ArrayLike<number>,
  sizeA: number,
  sizeB: number,
  batch: number,
  shared: boolean,
): { da: Float64Array; db: Float64Array } {
  const [da, db] = [new Float64Array(sizeA), new Float64Array(sizeB)];
  const pieceA = sizeA / batch;
  const pieceB = shared ? sizeB : sizeB / batch;
  let at = 0;
  for (let n = 0; n < batch; n++) {
    for (let i = 0; i < pieceA; i++) da[n * pieceA + i] = dy[at++]!;
    for (let i = 0; i < pieceB; i++) db[(shared ? 0 : n * pieceB) + i]! += dy[at++]!;
  }
  return { da, db };
}

/** y[r] = x[r] + table[start + r % period] over rows of C. */
export function addPositionsRef(
  x: ArrayLike<number>,
  table: ArrayLike<number>,
  columns: number,
  start: number,
  period: number,
): Float64Array {
  return Float64Array.from({ length: x.length }, (_, i) => {
    const row = start + (Math.floor(i / columns) % period);
    return x[i]! + table[row * columns + (i % columns)]!;
  });
}

/** Gradient of `addPositionsRef`'s table; that of x is dy. */
export function addPositionsBackwardRef(
  dy: ArrayLike<number>,
  tableRows: number,
  columns: number,
  start: number,
  period: number,
): Float64Array {
  const dtable = new Float64Array(tableRows * columns);
  for (let i = 0; i < dy.length; i++) {
    const row = start + (Math.floor(i / columns) % period);
    dtable[row * columns + (i % columns)]! += dy[i]!;
  }
  return dtable;
}
