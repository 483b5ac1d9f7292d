/** y[i] = table[ids[i]], or zeros for an id beyond the table [V, C], already decoded to numbers. */
export function embeddingRef(ids: ArrayLike<number>, table: ArrayLike<number>, columns: number): Float64Array {
  return Float64Array.from({ length: ids.length * columns }, (_, i) => {
    return table[ids[Math.floor(i / columns)]! * columns + (i % columns)] ?? 0;
  });
}
