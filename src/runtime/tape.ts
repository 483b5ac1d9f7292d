import type { Program, Scalar } from "./program.js";
import type { Tensor } from "./tensor.js";

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
  private readonly started = new Set<unknown>();

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

  /** Where to put a contribution to a persistent tensor's gradient; undefined when it is frozen. */
  target(t: Tensor): GradientTarget | undefined {
    if (t.storage.kind !== "buffers" || !t.storage.grad) return undefined;
    const first = !this.started.has(t.storage);
    this.started.add(t.storage);
    return { grad: t.storage.grad, accumulate: first ? this.program.scalar("accumulate") : 1 };
  }
}
