/** A tensor as a window on a flat storage; offset and strides count elements. */
export interface StridedView {
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** Whether the elements lie one after the other in row-major order; axes of size 1 may have any stride. */
export function isContiguous({ shape, strides }: StridedView): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return shape.includes(0);
    expected *= shape[axis]!;
  }
  return true;
}

/**
 * Bytes [byteStart, byteStart + byteLength) of the row-major order of a view with any strides (a transposed matrix).
 * Reads the span of storage under the rows concerned at once: for a transposed matrix that is nearly all of it.
 * @param width bytes per element
 * @param read bytes of the storage
 */
export async function gatherStrided(
  view: StridedView,
  width: number,
  byteStart: number,
  byteLength: number,
  read: (byteStart: number, byteLength: number) => Promise<Uint8Array>,
): Promise<Uint8Array<ArrayBuffer>> {
  if (byteLength === 0) return new Uint8Array(0);
  const [height = 1, ...rest] = view.shape;
  const rowBytes = rest.reduce((a, b) => a * b, 1) * width;
  const firstRow = Math.floor(byteStart / rowBytes);
  const endRow = Math.min(height, Math.ceil((byteStart + byteLength) / rowBytes));
  const shape = [endRow - firstRow, ...rest];
  const start = view.offset + firstRow * view.strides[0]!;
  const span = shape.reduce((sum, size, axis) => sum + (size - 1) * view.strides[axis]!, 1);
  const from = await read(start * width, span * width);

  const out = new Uint8Array((endRow - firstRow) * rowBytes);
  const index = shape.map(() => 0);
  let element = 0;
  for (let to = 0; to < out.length; to += width) {
    for (let b = 0; b < width; b++) out[to + b] = from[element * width + b]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      element += view.strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      element -= shape[axis]! * view.strides[axis]!;
      index[axis] = 0;
    }
  }
  const skip = byteStart - firstRow * rowBytes;
  return out.slice(skip, skip + byteLength);
}
