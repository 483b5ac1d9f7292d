// The cases for libraries of arrays (tfjs, jax-js): each brings its operations, and how they run.
import {
  BLOCK_NAMES,
  blockWeights,
  type Case,
  causalMask,
  matmulWeight,
  mlpWeights,
  normWeights,
  type Values,
} from "./cases.js";
import type { Prepared } from "./library.js";

export type Named<A> = Readonly<Record<string, A>>;

/** `w` are the weights, `constants` what no step changes. */
export type Compute<A> = (x: A, w: Named<A>, constants: Named<A>) => A;

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
  /** q|k|v [T, 3C] -> [T, C]; `mask` [T, T] is added to the scores. */
  readonly attention: (qkv: A, mask: A, T: number) => A;
  /** A call uploads the input of `c`, computes and reads the result back. It owns the arrays that it is given. */
  readonly forward: (c: Case, constants: Named<A>, compute: (x: A, constants: Named<A>) => A) => Prepared;
  /** A call is one step of Adam on the mean cross-entropy of the logits, and gives the loss. */
  readonly trainingStep: (c: Case, w: Named<A>, constants: Named<A>, logits: Compute<A>) => Prepared;
}

export async function prepareArrays<A>(library: ArrayLibrary<A>, c: Case): Promise<Prepared> {
  const { put, matmul, relu, softmax, norm, attention, forward, trainingStep } = library;
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
      return forward(c, { mask: put(causalMask(c.T)) }, (qkv, { mask }) => attention(qkv, mask!, c.T));
    case "block": {
      const constants = { ...(await blockArrays(put)), mask: put(causalMask(c.T)) };
      return forward(c, constants, (x, w) => block(library, x, w, w.mask!, c.T));
    }
    case "block-step": {
      const constants = { mask: put(causalMask(c.T)) };
      return trainingStep(c, await blockArrays(put), constants, (x, w, { mask }) => block(library, x, w, mask!, c.T));
    }
    case "mlp-step": {
      const [w1, w2] = mlpWeights(c).map(put);
      return trainingStep(c, { w1: w1!, w2: w2! }, {}, (x, w) => matmul(relu(matmul(x, w.w1!)), w.w2!));
    }
    case "encode":
    case "decode":
      throw new Error("whole models are compared as ONNX graphs, which this library does not read");
  }
}

async function blockArrays<A>(put: (v: Values) => A): Promise<Named<A>> {
  const values = await blockWeights();
  return Object.fromEntries(BLOCK_NAMES.map((name) => [name, put(values.get(name)!)]));
}

/** GPT-2's block; x [T, C]. */
function block<A>(library: ArrayLibrary<A>, x: A, w: Named<A>, mask: A, T: number): A {
  const { again, add, matmul, gelu, norm, attention } = library;
  const linear = (input: A, name: string) => add(matmul(input, w[`${name}.weight`]!), w[`${name}.bias`]!);
  const qkv = linear(norm(again(x), w["ln_1.weight"]!, w["ln_1.bias"]!), "attn.c_attn");
  const y = add(x, linear(attention(qkv, mask, T), "attn.c_proj"));
  const h = gelu(linear(norm(again(y), w["ln_2.weight"]!, w["ln_2.bias"]!), "mlp.c_fc"));
  return add(y, linear(h, "mlp.c_proj"));
}
