// The cases for libraries of arrays (tfjs, jax-js): each brings its operations, and how they run.
import { block, captionLogits } from "./array-models.js";
import { captionConstants, mapperWeights } from "./caption-weights.js";
import { blockWeights, type Case, causalMask, H, matmulWeight, mlpWeights, normWeights, type Values } from "./cases.js";
import type { Prepared } from "./library.js";

export type Named<A> = Readonly<Record<string, A>>;

/** `w` are the weights, `constants` what no step changes. */
export type Compute<A> = (x: A, w: Named<A>, constants: Named<A>) => A;

/** What rows [batch * tokens, …] are, and how many heads look at them. */
export interface Sequences {
  readonly batch: number;
  readonly tokens: number;
  readonly heads: number;
}

export interface ArrayLibrary<A> {
  readonly put: (v: Values) => A;
  /** `x` for one use of several: jax-js consumes an array by using it. */
  readonly again: (x: A) => A;
  readonly add: (a: A, b: A) => A;
  readonly matmul: (a: A, b: A) => A;
  readonly relu: (x: A) => A;
  /** gelu_new. */
  readonly gelu: (x: A) => A;
  readonly softmax: (x: A) => A;
  readonly norm: (x: A, scale: A, shift: A) => A;
  /** q|k|v [rows, 3C] -> [rows, C]; `mask` [tokens, tokens] is added to the scores. */
  readonly attention: (qkv: A, s: Sequences, mask?: A) => A;
  readonly reshape: (x: A, shape: readonly number[]) => A;
  readonly broadcast: (x: A, shape: readonly number[]) => A;
  /** [B, m, …] and [B, n, …] -> [B, m+n, …]. */
  readonly join: (a: A, b: A) => A;
  /** [B, n, C] -> [B, to-from, C]. */
  readonly cut: (x: A, from: number, to: number) => A;
  /** A call uploads the input of `c`, computes and reads the result back. It owns the arrays that it is given. */
  readonly forward: (c: Case, constants: Named<A>, compute: (x: A, constants: Named<A>) => A) => Prepared;
  /** A call is one step of Adam on the mean cross-entropy of the logits, and gives the loss. */
  readonly trainingStep: (c: Case, w: Named<A>, constants: Named<A>, logits: Compute<A>) => Prepared;
}

export async function prepareArrays<A>(library: ArrayLibrary<A>, c: Case): Promise<Prepared> {
  const { put, matmul, relu, gelu, softmax, norm, attention, forward, trainingStep } = library;
  const named = (values: ReadonlyMap<string, Values>): Named<A> =>
    Object.fromEntries([...values].map(([name, v]) => [name, put(v)]));
  const one = (T: number) => ({ batch: 1, tokens: T, heads: H });
  switch (c.type) {
    case "matmul":
      return forward(c, { w: put(matmulWeight(c)) }, (x, { w }) => matmul(x, w!));
    case "layernorm": {
      const [scale, shift] = normWeights(c.columns).map(put);
      return forward(c, { scale: scale!, shift: shift! }, (x, w) => norm(x, w.scale!, w.shift!));
    }
    case "softmax":
      return forward(c, {}, softmax);
    case "attention":
      return forward(c, { mask: put(causalMask(c.T)) }, (qkv, { mask }) => attention(qkv, one(c.T), mask));
    case "block": {
      const constants = { ...named(await blockWeights()), mask: put(causalMask(c.T)) };
      return forward(c, constants, (x, w) => block(library, x, w, { ...one(c.T), activation: gelu, mask: w.mask }));
    }
    case "block-step":
      return trainingStep(c, named(await blockWeights()), { mask: put(causalMask(c.T)) }, (x, w, { mask }) =>
        block(library, x, w, { ...one(c.T), activation: gelu, mask }),
      );
    case "mlp-step": {
      const [w1, w2] = mlpWeights(c).map(put);
      return trainingStep(c, { w1: w1!, w2: w2! }, {}, (x, w) => matmul(relu(matmul(x, w.w1!)), w.w2!));
    }
    case "caption-step": {
      const [w, constants] = [named(await mapperWeights()), named(await captionConstants(c))];
      return trainingStep(c, w, constants, (x, w, constants) => captionLogits(library, c, x, w, constants));
    }
    case "encode":
    case "decode":
      throw new Error("whole models are compared as ONNX graphs, which this library does not read");
  }
}
