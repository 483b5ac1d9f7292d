import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { type Contribution, contribute } from "../contribution.js";
import { elementGrid } from "../grid.js";
import { dropoutKernel } from "./dropout.wgsl.js";

const KERNEL = dropoutKernel();

export interface DropoutOptions {
  /** Probability that an element becomes zero, in [0, 1). */
  readonly rate: number;
  /** u32; a scalar that changes at each training step. */
  readonly seed: number | Scalar;
  /** u32, different for each dropout of a model, so that no two share a mask. */
  readonly site: number;
  readonly label: string;
}

/**
 * y = x / (1 - rate) or, with probability `rate`, 0, element by element; any shape. The mask follows from the seed, the
 * site and the element's index alone. A rate of 0 records nothing and returns x.
 * @throws RangeError when the rate is not in [0, 1).
 */
export function dropout(p: Program, x: Tensor, o: DropoutOptions): Tensor {
  if (!(o.rate >= 0 && o.rate < 1)) throw new RangeError(`${o.label}: a dropout rate of ${o.rate} is not in [0, 1)`);
  if (o.rate === 0) return x;
  const y = p.transient(o.label, x.shape);
  const to = { tensors: { before: p.device.empty, dx: y }, uniforms: { has_before: 0, accumulate: 0 } } as const;
  record(p, x, to, o, o.label);
  p.differentiate(y, [x], (dy, gradients) => {
    contribute(p, gradients, x, `d ${o.label}`, (dx) => record(p, dy, dx, o, `d ${o.label}`));
  });
  return y;
}

function record(p: Program, x: Tensor, to: Contribution, o: DropoutOptions, label: string): void {
  const count = Math.ceil(x.size / 4);
  p.dispatch({
    kernel: KERNEL,
    label,
    tensors: { x, ...to.tensors },
    uniforms: {
      count,
      seed: o.seed,
      site: o.site,
      threshold: Math.floor(o.rate * 2 ** 32),
      scale: 1 / (1 - o.rate),
      ...to.uniforms,
    },
    workgroups: elementGrid(count, p.device),
    flops: x.size,
  });
}

export function dropoutKernels(): KernelSpec[] {
  return [KERNEL];
}
