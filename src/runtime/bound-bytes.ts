import type { Dispatch } from "./program.js";
import { rowBytes, type Tensor } from "./tensor.js";

/**
 * Bytes of the values that a dispatch binds, each once: what it must move where it needs all of them. `empty` (the device's)
 * stands for what a call leaves out, and is left out where it is given.
 */
export function boundBytes({ tensors }: Dispatch, empty?: Tensor): number {
  const seen = new Set<unknown>(empty && [empty.storage]);
  let bytes = 0;
  for (const bound of Object.values(tensors)) {
    const { tensor, part } = "tensor" in bound ? bound : { tensor: bound, part: undefined };
    const { storage } = tensor;
    const piece = part !== undefined && storage.kind === "buffers" ? storage.parts[part]! : undefined;
    if (seen.has(piece ?? storage)) continue;
    seen.add(piece ?? storage);
    bytes += (piece ? piece.end - piece.start : tensor.rows) * rowBytes(tensor.dtype, tensor.shape);
  }
  return bytes;
}
