import type { Program } from "../../runtime/program.js";
import { elements, type Tensor } from "../../runtime/tensor.js";
import { syntheticInts, syntheticValues } from "../../weights/synthetic.js";

export type Values = Float32Array | Uint32Array;

/** One operation at one shape in one variant. Cases are made by the hundred; nothing is computed before `record`. */
export interface KernelCase {
  readonly kernel: string;
  readonly variant: string;
  readonly shape: string;
  readonly dtype: string;
  /** This device takes this variant by itself at this shape; true too where there is no choice. */
  readonly chosen: boolean;
  readonly record: (p: Program) => Recorded;
}

/** What a case put into a program. */
export interface Recorded {
  /** Read after the first run: values of the program, or persistent tensors such as gradients. */
  readonly outputs: readonly Tensor[];
  /** Normalised squared error of the outputs, or of samples of them, against f64. */
  readonly error: (outputs: readonly Values[]) => number;
  /** First dispatch that is timed; those before it (a backward's forward) only run once. Default 0. */
  readonly from?: number;
  /** Values of the program's scalars. */
  readonly scalars?: Readonly<Record<string, number>>;
  /** Frees what does not belong to the program. */
  readonly free?: () => void;
  /** Bytes that must move, where the bound tensors say too much (a lookup reads a few rows of its table). */
  readonly bytes?: number;
}

/** "matmul.nt lane 25 * clip qkv: 50 x 768 x 2304 f32": what `--list` prints and a pattern is looked for in. */
export function caseName({ kernel, variant, shape, dtype, chosen }: Omit<KernelCase, "record">): string {
  return `${kernel} ${variant}${chosen ? " *" : ""} ${shape} ${dtype}`;
}

/** Deterministic values in (-scale, scale). */
export function values(name: string, count: number, scale = 1): Float32Array<ArrayBuffer> {
  return syntheticValues(name, 0, count, 0, scale / Math.sqrt(3));
}

/** Deterministic integers in [0, below). */
export function integers(name: string, count: number, below: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(syntheticInts(name, [count], 0, below, 0));
}

export function input(p: Program, label: string, shape: readonly number[], data: Values): Tensor {
  const tensor = p.persistent(label, shape, data instanceof Uint32Array ? "u32" : "f32");
  p.device.write(tensor, data);
  return tensor;
}

/** An input that asks for its gradient. */
export function leaf(p: Program, label: string, shape: readonly number[], data: Float32Array): Tensor {
  const tensor = p.persistent(label, shape, "f32", { requiresGrad: true });
  p.device.write(tensor, data);
  return tensor;
}

/** An operation of f32 inputs with a reference in both directions. */
export interface Operation extends Omit<KernelCase, "dtype" | "record"> {
  readonly inputs: () => readonly Named[];
  /** Inputs that no gradient goes to, such as ids, are made in here. */
  readonly record: (p: Program, inputs: readonly Tensor[]) => Tensor;
  readonly expected: (data: readonly Float32Array[]) => ArrayLike<number>;
  /** Gradients of the inputs for the cotangent dy of the output. */
  readonly gradients: (dy: Float32Array, data: readonly Float32Array[]) => readonly ArrayLike<number>[];
  /** See `Recorded`. */
  readonly bytes?: number;
  readonly backwardBytes?: number;
}

export interface Named {
  readonly label: string;
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

export function named(label: string, shape: readonly number[], scale = 1): Named {
  return { label, shape, data: values(label, elements(shape), scale) };
}

export function forwardCase(op: Operation): KernelCase {
  return {
    ...op,
    dtype: "f32",
    record: (p) => {
      const inputs = op.inputs();
      const y = op.record(
        p,
        inputs.map(({ label, shape, data }) => input(p, label, shape, data)),
      );
      const expected = () => op.expected(inputs.map(({ data }) => data));
      return { outputs: [y], error: ([got]) => squaredError(got!, expected()), bytes: op.bytes };
    },
  };
}

/** The backward pass, recorded and timed alone. */
export function backwardCase(op: Operation): KernelCase {
  return {
    ...op,
    kernel: `${op.kernel}.backward`,
    dtype: "f32",
    record: (p) => {
      const inputs = op.inputs();
      const leaves = inputs.map(({ label, shape, data }) => leaf(p, label, shape, data));
      const y = op.record(p, leaves);
      const dy = values("dy", y.size);
      const from = recordBackward(p, y, dy);
      return {
        outputs: leaves.map(gradientOf),
        // One by one, so that a large gradient does not hide the errors of the others.
        error: (got) => {
          const expected = op.gradients(
            dy,
            inputs.map(({ data }) => data),
          );
          return Math.max(...expected.map((e, i) => squaredError(got[i]!, e)));
        },
        from,
        scalars: { accumulate: 0 },
        bytes: op.backwardBytes,
      };
    },
  };
}

export function bothWays(op: Operation): KernelCase[] {
  return [forwardCase(op), backwardCase(op)];
}

/** Records the backward of y; returns its first dispatch. */
export function recordBackward(p: Program, y: Tensor, dy: Float32Array): number {
  const from = p.dispatches.length;
  keepAll(p); // the backward is replayed without the forward, whose values must then still be there
  p.backward(y, input(p, "dy", y.shape, dy));
  return from;
}

function keepAll(p: Program): void {
  for (const { tensors } of p.dispatches) {
    for (const bound of Object.values(tensors)) p.keep("tensor" in bound ? bound.tensor : bound);
  }
}

export function gradientOf(t: Tensor): Tensor {
  if (t.storage.kind !== "buffers" || !t.storage.grad) throw new TypeError(`${t.label} has no gradient`);
  return t.storage.grad;
}

/** Sum of squared errors over sum of squares; not a number where a value is none. */
export function squaredError(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [error, power] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    error += (got[i]! - expected[i]!) ** 2;
    power += expected[i]! ** 2;
  }
  return got.length === expected.length ? error / (power || 1) : Number.POSITIVE_INFINITY;
}

/** Every variant of an operation, the chosen one marked; a variant's name stands in reports. */
export function variantsOf<V>(all: readonly V[], chosen: V, nameOf: (v: V) => string) {
  return all.map((variant) => ({ variant, name: nameOf(variant), chosen: nameOf(variant) === nameOf(chosen) }));
}
