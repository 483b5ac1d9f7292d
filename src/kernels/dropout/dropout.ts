import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program, Scalar } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { expectShape } from "../check.js";
import { type Contribution, contribute } from "../contribution.js";
import { addGradient } from "../gradient.js";
import { elementGrid } from "../grid.js";
import { add } from "../rows/rows.js";
import { dropoutKernel } from "./dropout.wgsl.js";

const KERNEL = dropoutKernel();

export interface Dropout {
  /** Probability that an element becomes zero, in [0, 1). */
  readonly rate: number;
  /** u32; a scalar that changes at each training step. */
  readonly seed: number | Scalar;
  /** u32, different for each dropout of a model, so that no two share a mask. */
  readonly site: number;
}

export interface DropoutOptions extends Dropout {
  /** Of x's shape; added afterwards. */
  readonly residual?: Tensor;
  readonly label: string;
}

/**
 * Values of DROPOUT_FIELDS, or nothing for a rate of 0, at which a kernel without dropout does.
 * @throws RangeError when the rate is not in [0, 1).
 */
export function dropoutUniforms(
  { rate, seed, site }: Dropout,
  label: string,
): Record<string, number | Scalar> | undefined {
  if (!(rate >= 0 && rate < 1)) throw new RangeError(`${label}: a dropout rate of ${rate} is not in [0, 1)`);
  if (rate === 0) return undefined;
  return { seed, site, threshold: Math.floor(rate * 2 ** 32), scale: 1 / (1 - rate) };
}

/**
 * y = x / (1 - rate) or, with probability `rate`, 0, element by element; any shape. The mask follows from the seed, the
 * site and the element's index alone. A rate of 0 records no dropout and returns x (+ residual).
 * @throws RangeError when the rate is not in [0, 1).
 */
export function dropout(p: Program, x: Tensor, o: DropoutOptions): Tensor {
  const drop = dropoutUniforms(o, o.label);
  const { residual } = o;
  if (residual) expectShape(o.label, residual, x.shape);
  if (!drop) return residual ? add(p, residual, x, o) : x;
  const y = p.transient(o.label, x.shape);
  // One kernel for both directions: y stands where a gradient would, the residual where the sum before would.
  const to: Contribution = {
    tensors: { before: residual ?? p.device.empty, dx: y },
    uniforms: { has_before: residual ? 1 : 0, accumulate: 0 },
  };
  record(p, x, to, drop, o.label);
  p.differentiate(y, [x, residual], (dy, gradients) => {
    addGradient(p, gradients, residual, dy);
    contribute(p, gradients, x, `d ${o.label}`, (dx) => record(p, dy, dx, drop, `d ${o.label}`));
  });
  return y;
}

function record(p: Program, x: Tensor, to: Contribution, drop: Record<string, number | Scalar>, label: string): void {
  const count = Math.ceil(x.size / 4);
  p.dispatch({
    kernel: KERNEL,
    label,
    tensors: { x, ...to.tensors },
    uniforms: { count, ...drop, ...to.uniforms },
    workgroups: elementGrid(count, p.device),
    flops: x.size,
  });
}

export function dropoutKernels(): KernelSpec[] {
  return [KERNEL];
}
