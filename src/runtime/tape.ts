import type { Program, Scalar } from "./program.js";
import { rowBytes, type Tensor } from "./tensor.js";

/** Records the gradients of an operation's inputs, given that of its output. */
export type Backward = (dy: Tensor, gradients: Gradients) => void;

/** Where the gradient of a persistent tensor is written, and whether to add to what is there. */
export interface GradientTarget {
  readonly grad: Tensor;
  /** 0 or 1; the first contribution follows the run's `accumulate`, later ones of the same run always add. */
  readonly accumulate: number | Scalar;
}

/** The gradients that one backward pass has recorded so far. */
export class Gradients {
  private readonly transient = new Map<unknown, Tensor>();
  /** Gradients of persistent tensors, or rows of them, that have a contribution; disjoint. */
  private readonly written: Range[] = [];

  constructor(private readonly program: Program) {}

  /** The gradient of a value inside the program, once all operations that use it have been passed. */
  get(t: Tensor): Tensor | undefined {
    return this.transient.get(t.storage)?.reshape(...t.shape);
  }

  /**
   * Adds a contribution to the gradient of a value inside the program. `make` records it and returns the new sum; it is
   * given the sum so far, if any, so that a kernel can add it in its epilogue. Nothing happens for a frozen value.
   */
  add(t: Tensor, make: (sum: Tensor | undefined) => Tensor): void {
    if (!t.requiresGrad) return;
    if (t.storage.kind === "buffers") throw new TypeError(`${t.label} is persistent; write to its target`);
    this.transient.set(t.storage, make(this.get(t)));
  }

  /**
   * Where to put a contribution to a persistent tensor's gradient; undefined when it is frozen. A tied table may get
   * contributions by rows (`rowsOfTensor`) and as a whole.
   * @throws Error for a tensor of which some rows have a contribution and others none: neither 0 nor 1 is right there.
   */
  target(t: Tensor): GradientTarget | undefined {
    if (t.storage.kind !== "buffers" || !t.storage.grad) return undefined;
    const { grad } = t.storage;
    const ranges = rangesOf(grad);
    const total = ranges.reduce((bytes, r) => bytes + r.end - r.start, 0);
    const known = ranges.flatMap((r) => this.written.map((w) => overlap(r, w))).reduce((a, b) => a + b, 0);
    if (known !== 0 && known !== total) throw new Error(`${grad.label}: only some of its rows have a contribution`);
    if (known === 0) this.written.push(...ranges);
    return { grad, accumulate: known === 0 ? this.program.scalar("accumulate") : 1 };
  }

  /** The target of an operand that only a parameter can be. @throws TypeError where a computed value would need it. */
  parameter(t: Tensor): GradientTarget | undefined {
    if (t.storage.kind === "transient" && t.requiresGrad) throw new TypeError(`${t.label} must be a parameter`);
    return this.target(t);
  }
}

/** Bytes [start, end) of a buffer. */
interface Range {
  readonly buffer: GPUBuffer;
  readonly start: number;
  readonly end: number;
}

/** A tensor's bytes, without padding. */
function rangesOf(t: Tensor): Range[] {
  if (t.storage.kind !== "buffers") throw new TypeError(`${t.label} lives inside a program`);
  const perRow = rowBytes(t.dtype, t.shape);
  return t.storage.parts.map(({ buffer, offset, start, end }) => {
    return { buffer, start: offset, end: offset + (end - start) * perRow };
  });
}

function overlap(a: Range, b: Range): number {
  return a.buffer === b.buffer ? Math.max(0, Math.min(a.end, b.end) - Math.max(a.start, b.start)) : 0;
}
