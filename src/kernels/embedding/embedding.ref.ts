/** y[i] = table[ids[i]], or zeros for an id beyond the table [V, C], already decoded to numbers. */
export function embeddingRef(ids: ArrayLike<number>, table: ArrayLike<number>, columns: number): Float64Array {
  return Float64Array.from({ length: ids.length * columns }, (_, i) => {
    return table[ids[Math.floor(i / columns)]! * columns + (i % columns)] ?? 0;
  });
}

/** Gradient of the table: dtable[v] = sum of the dy[i] where ids[i] is v. */
export function embeddingBackwardRef(
  ids: ArrayLike<number>,
  dy: ArrayLike<number>,
  vocabulary: number,
  columns: number,
): Float64Array {
  const dtable = new Float64Array(vocabulary * columns);
  for (let i = 0; i < ids.length; i++) {
    if (ids[i]! >= vocabulary) continue;
    for (let c = 0; c < columns; c++) dtable[ids[i]! * columns + c]! += dy[i * columns + c]!;
  }
  return dtable;
}
