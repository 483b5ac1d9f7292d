import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { expectShape, rowsOf } from "../check.js";
import { columnSum } from "../columnsum/columnsum.js";
import { crossEntropyOfLogits } from "../crossentropy/crossentropy.js";
import { addGradient } from "../gradient.js";
import { elementGrid } from "../grid.js";
import { l2Normalize } from "../l2norm/l2norm.js";
import { matmul } from "../matmul/matmul.js";
import { add } from "../rows/rows.js";
import { capScaleKernel, scaleBackwardKernel, scaleKernel } from "./contrastive.wgsl.js";

export interface ContrastiveOptions {
  /** Factor of the loss. Default 1. */
  readonly weight?: number;
  readonly label: string;
}

/**
 * CLIP's loss: images [B, E] and texts [B, E], not normalised, of which row i belongs to row i; logitScale [1], the
 * logarithm of the inverse temperature. With logits[i, j] = exp(logitScale) cos(texts[i], images[j]), the mean of the
 * cross-entropies of its rows and of its columns (Radford et al. 2021, figure 3), times `weight`. Returns f32 [1];
 * differentiable in all three.
 * @throws RangeError for shapes that do not fit.
 */
export function contrastiveLoss(
  p: Program,
  images: Tensor,
  texts: Tensor,
  logitScale: Tensor,
  { label, weight = 1 }: ContrastiveOptions,
): Tensor {
  const [batch] = rowsOf(images);
  expectShape(label, texts, images.shape);
  const image = l2Normalize(p, images, { label: `${label}.image` });
  const text = scaled(p, l2Normalize(p, texts, { label: `${label}.text` }), logitScale, label);
  const matches = p.persistent(`${label}.matches`, [batch], "u32");
  p.device.write(
    matches,
    Uint32Array.from({ length: batch }, (_, i) => i),
  );
  const half = (a: Tensor, b: Tensor, name: string) => {
    const logits = matmul(p, a, b, { layout: "nt", label: `${label}.${name}` });
    return crossEntropyOfLogits(p, logits, matches, { weights: (0.5 * weight) / batch, label: `${label}.${name}` })
      .loss;
  };
  return add(p, half(text, image, "texts"), half(image, text, "images"), { label });
}

/** y = exp(scale) x, scale [1]. */
function scaled(p: Program, x: Tensor, scale: Tensor, label: string): Tensor {
  if (scale.size !== 1) throw new RangeError(`${label}: ${scale.label} is [${scale.shape}], expected one number`);
  const y = p.transient(`${label}.scaled`, x.shape);
  const grid = { uniforms: { count: x.size }, workgroups: elementGrid(x.size, p.device) };
  p.dispatch({ kernel: scaleKernel, label, tensors: { x, scale, y }, ...grid, flops: x.size });
  p.differentiate(y, [x, scale], (dy, gradients) => {
    const dx = p.transient(`d ${label}.text`, x.shape);
    const terms = p.transient(`d ${label}.terms`, x.shape);
    const tensors = { y, dy, scale, dx, terms };
    p.dispatch({ kernel: scaleBackwardKernel, label: `d ${label}`, tensors, ...grid, flops: 2 * x.size });
    addGradient(p, gradients, x, dx);
    if (scale.requiresGrad) addGradient(p, gradients, scale, total(p, terms, label));
  });
  return y;
}

function total(p: Program, terms: Tensor, label: string): Tensor {
  const sum = p.transient(`d ${label}.scale`, [1]);
  columnSum(p, terms.reshape(terms.size, 1), { grad: sum, accumulate: 0 }, { label: `d ${label}.scale` });
  return sum;
}

/** CLIP's training keeps logits below 100 times the cosine (docs/facts.md 8). */
const MAX_LOGIT_SCALE = Math.log(100);

/** Brings logitScale [1] down to ln 100 where it lies above; for after an update. @throws RangeError for another shape. */
export function capLogitScale(p: Program, logitScale: Tensor, { label }: { readonly label: string }): void {
  expectShape(label, logitScale, [1]);
  const [tensors, uniforms] = [{ scale: logitScale }, { most: MAX_LOGIT_SCALE }];
  p.dispatch({ kernel: capScaleKernel, label, tensors, uniforms, workgroups: [1, 1, 1] });
}

export function contrastiveKernels(): KernelSpec[] {
  return [scaleKernel, scaleBackwardKernel, capScaleKernel];
}
