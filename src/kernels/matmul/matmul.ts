import type { Program } from "../../runtime/program.js";
import type { Gradients, GradientTarget } from "../../runtime/tape.js";
import { rowsOfTensor, type Tensor, type TensorPart } from "../../runtime/tensor.js";
import { activation } from "../activation/activation.js";
import { ACTIVATIONS, type ActivationKind } from "../activation/activation.wgsl.js";
import { columnSum } from "../columnsum/columnsum.js";
import { addGradient } from "../gradient.js";
import { add, sliceColumns } from "../rows/rows.js";
import { kRanges } from "./lane.wgsl.js";
import { FLAG, type Layout } from "./matmul.wgsl.js";
import { chooseVariant, kernelFor, type MatmulShape, type Variant, workgroups } from "./variant.js";
import type { WeightType } from "./weight.wgsl.js";

export interface MatmulOptions {
  readonly label: string;
  readonly layout: Layout;
  /** f32 [N]. */
  readonly bias?: Tensor;
  readonly activation?: ActivationKind;
  /** Shape of the output; added after the activation. */
  readonly residual?: Tensor;
  /** Write (or add) the result there instead of to a new value. */
  readonly target?: GradientTarget;
  /** For tests and benchmarks; otherwise `chooseVariant` decides. */
  readonly variant?: Variant;
}

/**
 * out = act(a b + bias) + residual, the last two axes of `a` and `b` being matrices in the given layout; leading axes
 * are batches, and a two-axis `b` serves every batch. Only `nt` takes packed weights (f16, q8) and weights split into
 * parts. Returns f32 [..., M, N].
 * @throws RangeError when the shapes do not fit.
 */
export function matmul(p: Program, a: Tensor, b: Tensor, o: MatmulOptions): Tensor {
  const shape = matmulShape(a, b, o);
  const { M, K, N, batch = 1 } = shape;
  if (needsOwnActivation(a, b, o)) return activated(p, a, b, o);
  const out = o.target?.grad ?? p.transient(o.label, [...a.shape.slice(0, -2), M, N]);
  const weight = b.dtype as WeightType;
  const variant = o.variant ?? chooseVariant(shape, p.device, weight);
  const spec = kernelFor(shape.layout, variant, weight);
  const empty = p.device.empty;
  const epilogue = (o.bias ? FLAG.bias : 0) | (o.residual ? FLAG.residual : 0);
  const activation = ACTIVATIONS[o.activation ?? "none"];
  const inParts = variant.family === "lane" && shape.layout === "tn" && activation === ACTIVATIONS.none;
  const ranges = inParts ? kRanges(K) : [{ kStart: 0, kEnd: K }];
  const parts = b.storage.kind === "buffers" ? b.storage.parts : [{ start: 0, end: N }];
  parts.forEach(({ start, end }, part) => {
    const columns = parts.length > 1 ? end - start : N;
    const bound: Tensor | TensorPart = parts.length > 1 ? { tensor: b, part } : b;
    ranges.forEach(({ kStart, kEnd }, i) => {
      p.dispatch({
        kernel: spec,
        label: parts.length > 1 ? `${o.label}[${start}..${end}]` : o.label,
        tensors: {
          a,
          b: bound,
          bias: o.bias ?? empty,
          residual: o.residual ?? empty,
          out,
          ...(b.scale ? { scale: b.scale } : {}),
        },
        uniforms: {
          M,
          K,
          N: columns,
          column0: parts.length > 1 ? start : 0,
          outStride: N,
          aBatch: M * K,
          bBatch: b.shape.length > 2 ? K * N : 0,
          flags: i === 0 ? epilogue : 0,
          activation,
          accumulate: i === 0 ? (o.target?.accumulate ?? 0) : 1,
          kStart,
          kEnd,
        },
        workgroups: workgroups(variant, M, columns, batch),
        flops: 2 * batch * M * (kEnd - kStart) * columns,
      });
    });
  });
  p.differentiate(out, [a, b, o.bias, o.residual], (dout, gradients) => matmulBackward(p, a, b, o, dout, gradients));
  return out;
}

/** An activation's backward needs its input, which the epilogue does not keep: then it is an operation of its own. */
function needsOwnActivation(a: Tensor, b: Tensor, o: MatmulOptions): boolean {
  const kind = o.activation ?? "none";
  return kind !== "none" && [a, b, o.bias, o.residual].some((t) => t?.requiresGrad);
}

function activated(p: Program, a: Tensor, b: Tensor, o: MatmulOptions): Tensor {
  const z = matmul(p, a, b, { ...o, activation: "none", residual: undefined, label: `${o.label}.z` });
  const y = activation(p, z, o.activation!, { label: o.label });
  return o.residual ? add(p, y, o.residual, { label: `${o.label}.sum` }) : y;
}

/**
 * out = a b + bias + residual, stored as nn:  da = dout b^T,  db = a^T dout,  dbias = column sums,  dresidual = dout.
 * The other layouts are the same products with a or b transposed.
 */
export function matmulBackward(
  p: Program,
  a: Tensor,
  b: Tensor,
  o: Pick<MatmulOptions, "layout" | "label" | "bias" | "residual">,
  dout: Tensor,
  gradients: Gradients,
): void {
  const { layout, label } = o;
  const product = (x: Tensor, y: Tensor, l: Layout, name: string, to: Pick<MatmulOptions, "residual" | "target">) =>
    matmul(p, x, y, { ...to, layout: l, label: `d ${label}.${name}` });
  addGradient(p, gradients, o.residual, dout);
  const bias = o.bias && gradients.parameter(o.bias);
  if (bias) columnSum(p, stack(dout), bias, { label: `d ${label}.bias` });
  if (b.storage.kind === "buffers" && b.storage.parts.length > 1) {
    for (const { start, end } of b.storage.parts) {
      const columns = sliceColumns(p, dout, { from: start, to: end, label: `d ${label}[${start}..${end}]` });
      matmulBackward(p, a, rowsOfTensor(b, start, end), { layout, label }, columns, gradients);
    }
    return;
  }
  addProduct(gradients, a, (to) => {
    if (layout === "nn") return product(dout, b, "nt", "a", to);
    return layout === "nt" ? product(dout, b, "nn", "a", to) : product(b, dout, "nt", "a", to);
  });
  // One b for a batch: its gradient is the sum over the batch, which is the product of the stacked rows.
  const stacked = b.shape.length === 2 && layout !== "tn";
  const [x, dy] = stacked ? [stack(a), stack(dout)] : [a, dout];
  addProduct(gradients, b, (to) => {
    if (layout === "nn") return product(x, dy, "tn", "b", to);
    return layout === "nt" ? product(dy, x, "tn", "b", to) : product(x, dy, "nn", "b", to);
  });
}

/** Lets a product add itself to a gradient: in place for a persistent tensor, else in its epilogue. */
function addProduct(
  gradients: Gradients,
  t: Tensor,
  make: (to: Pick<MatmulOptions, "residual" | "target">) => Tensor,
): void {
  const target = gradients.target(t);
  if (target) make({ target });
  else gradients.add(t, (residual) => make({ residual }));
}

/** [..., rows, columns] -> [all rows, columns]. */
function stack(t: Tensor): Tensor {
  const columns = t.shape.at(-1)!;
  return t.reshape(t.size / columns, columns);
}

export interface LinearOptions {
  readonly label: string;
  readonly bias?: Tensor;
  readonly activation?: ActivationKind;
  readonly residual?: Tensor;
}

/** torch.nn.Linear: x [rows, in] times weight [out, in] transposed -> [rows, out], with epilogues as in `matmul`. */
export function linear(p: Program, x: Tensor, weight: Tensor, o: LinearOptions): Tensor {
  return matmul(p, x, weight, { ...o, layout: "nt" });
}

function matmulShape(a: Tensor, b: Tensor, o: MatmulOptions): MatmulShape {
  const { layout } = o;
  const [a0, a1] = a.shape.slice(-2) as [number, number];
  const [b0, b1] = b.shape.slice(-2) as [number, number];
  const [M, K] = layout === "tn" ? [a1, a0] : [a0, a1];
  const [N, inner] = layout === "nt" ? [b0, b1] : [b1, b0];
  const fail = (why: string): never => {
    throw new RangeError(`${o.label}: ${why} (a [${a.shape}], b [${b.shape}], ${layout})`);
  };
  const batch = a.shape.slice(0, -2).reduce((x, y) => x * y, 1);
  const count = batch * M * N;
  if (inner !== K) fail("the inner sizes differ");
  if (count * K === 0) fail("a matrix is empty");
  if (layout !== "nt" && b.storage.kind === "buffers" && b.storage.parts.length > 1) fail("parts need the nt layout");
  if (layout !== "nt" && b.dtype !== "f32") fail(`${b.dtype} weights need the nt layout`);
  if (o.bias && o.bias.size !== N) fail(`the bias has ${o.bias.size} values for ${N} columns`);
  if (b.shape.length > 2 && `${b.shape.slice(0, -2)}` !== `${a.shape.slice(0, -2)}`) fail("the batches differ");
  for (const [name, t] of [["residual", o.residual] as const, ["target", o.target?.grad] as const]) {
    if (t && t.size !== count) fail(`the ${name} [${t.shape}] has another size than the result`);
  }
  return { layout, M, K, N, batch };
}
