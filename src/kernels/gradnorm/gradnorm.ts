import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { foldedGrid } from "../grid.js";
import { CHUNK, foldKernel, GROUP, squaresKernel } from "./gradnorm.wgsl.js";

/**
 * Sum of the squares of all elements of `gradients`: flat f32 tensors of whole vectors of four. In stages and without
 * atomics, so that two runs agree to the bit. Returns u32 [1, 2]: the bits of the f32 sum, and 1 where an element was NaN
 * or infinite, else 0. A sum beyond f32 (a norm above 1.8e19) is infinite itself.
 * @throws RangeError for none or other tensors.
 */
export function gradNorm(p: Program, gradients: readonly Tensor[], { label }: { readonly label: string }): Tensor {
  const counts = gradients.map((x) => {
    if (x.size % 4 === 0 && x.dtype === "f32") return x.size / 4;
    throw new RangeError(`${label}: ${x.label} is ${x.dtype} [${x.shape}], expected f32 in whole vectors of four`);
  });
  const size = p.device.lanes || GROUP;
  const total = counts.reduce((n, count) => n + partialsOf(count, size), 0);
  if (total === 0) throw new RangeError(`${label}: there is no gradient`);
  let partials = p.transient(`${label} partial`, [total, 2], "u32");
  let first = 0;
  for (const [i, x] of gradients.entries()) {
    const count = counts[i]!;
    p.dispatch({
      kernel: squaresKernel(size),
      label,
      tensors: { x, partials },
      uniforms: { count, first },
      workgroups: foldedGrid(Math.ceil(count / (size * CHUNK)), p.device),
      flops: 2 * x.size,
    });
    first += partialsOf(count, size);
  }
  do partials = fold(p, partials, label);
  while (partials.rows > 1);
  return partials;
}

/** Partial sums of `count` vectors: one for each invocation that has any. */
function partialsOf(count: number, size: number): number {
  const rest = count % (size * CHUNK);
  return (count - rest) / CHUNK + Math.min(size, rest);
}

function fold(p: Program, x: Tensor, label: string): Tensor {
  const y = p.transient(`${label} partial`, [Math.ceil(x.rows / CHUNK), 2], "u32");
  p.dispatch({
    kernel: foldKernel,
    label,
    tensors: { x, y },
    uniforms: { count: x.rows },
    workgroups: [Math.ceil(y.rows / GROUP), 1, 1],
    flops: x.rows,
  });
  return y;
}

export function gradNormKernels(): KernelSpec[] {
  return [...[4, 8, GROUP].map(squaresKernel), foldKernel];
}
