import type { Tensor } from "../runtime/tensor.js";

/** @throws RangeError naming the operation, the tensor and both shapes when `tensor` has not `shape`. */
export function expectShape(label: string, tensor: Tensor, shape: readonly number[]): void {
  if (tensor.shape.length !== shape.length || tensor.shape.some((d, i) => d !== shape[i])) {
    throw new RangeError(`${label}: ${tensor.label} is [${tensor.shape}], expected [${shape}]`);
  }
}

/** [rows, columns] of a tensor whose last axis is the row. */
export function rowsOf(tensor: Tensor): [rows: number, columns: number] {
  const columns = tensor.shape.at(-1) ?? 1;
  return [tensor.size / columns, columns];
}
