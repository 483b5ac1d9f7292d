import { type Binding, read, type UniformField, write } from "../runtime/kernel.js";
import type { Program, Scalar } from "../runtime/program.js";
import type { Gradients } from "../runtime/tape.js";
import type { Tensor } from "../runtime/tensor.js";
import { VECTOR_TYPE, type Vector } from "./grid.js";

/** Tensors and uniforms that a backward kernel's dispatch takes over, to leave its contribution where it belongs. */
export interface Contribution {
  readonly tensors: { readonly before: Tensor; readonly dx: Tensor };
  readonly uniforms: { readonly has_before: 0 | 1; readonly accumulate: number | Scalar };
}

/**
 * Lets a kernel that ends with `contribute` (see `contributionParts`) add to the gradient of t in its epilogue: to the
 * sum so far of a value inside the program, or in place where t is persistent. Nothing is recorded for a frozen t.
 */
export function contribute(
  p: Program,
  gradients: Gradients,
  t: Tensor,
  label: string,
  record: (to: Contribution) => void,
): void {
  const { empty } = p.device;
  const target = gradients.target(t);
  if (target) {
    record({
      tensors: { before: empty, dx: target.grad },
      uniforms: { has_before: 0, accumulate: target.accumulate },
    });
  } else if (t.storage.kind === "transient") {
    gradients.add(t, (sum) => {
      const dx = p.transient(label, t.shape);
      record({ tensors: { before: sum ?? empty, dx }, uniforms: { has_before: sum ? 1 : 0, accumulate: 0 } });
      return dx;
    });
  }
}

/**
 * The kernel's share: bindings and uniforms to put last, the alias V, and `contribute(i, value)`, which sets dx[i] to the
 * value plus what was there before.
 */
export function contributionParts(vector: Vector): {
  readonly bindings: readonly Binding[];
  readonly uniforms: readonly UniformField[];
  readonly aliases: Readonly<Record<"V", string>>;
  readonly functions: string;
} {
  const V = VECTOR_TYPE[vector];
  return {
    bindings: [read("before", V), write("dx", V)],
    uniforms: [
      ["has_before", "u32"],
      ["accumulate", "u32"],
    ],
    aliases: { V },
    functions: CONTRIBUTE_WGSL,
  };
}

const CONTRIBUTE_WGSL = /* wgsl */ `
fn contribute(i: u32, value: V) {
  var total = value;
  if (u.has_before != 0u) { total += before[i]; }
  if (u.accumulate != 0u) { total += dx[i]; }
  dx[i] = total;
}
`;
