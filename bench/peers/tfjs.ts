// TensorFlow.js on its WebGPU backend. It has no layer norm and no tanh gelu: composed, as its users do.
import * as tf from "@tensorflow/tfjs"; // not tfjs-core: its build for Node leaves the gradients out
import "@tensorflow/tfjs-backend-webgpu"; // registers itself when it finds navigator.gpu
import { type ArrayLibrary, type Compute, type Named, prepareArrays, type Sequences } from "./arrays.js";
import { ADAM, C, type Case, GPT2, inputOf, oneHotTargets } from "./cases.js";
import type { Library, Prepared } from "./library.js";

type Tensor = tf.Tensor;

export async function open(): Promise<Library> {
  if (!(await tf.setBackend("webgpu"))) throw new Error("tfjs could not start its WebGPU backend");
  await tf.ready();
  return { name: `tfjs-webgpu ${tf.version_core}`, prepare: (c) => prepareArrays(library, c) };
}

const library: ArrayLibrary<Tensor> = {
  put: ({ data, shape }) => tf.tensor(data, shape),
  again: (x) => x,
  add: (a, b) => tf.add(a, b),
  matmul: (a, b) => tf.matMul(a, b),
  relu: (x) => tf.relu(x),
  gelu,
  softmax: (x) => tf.softmax(x),
  norm,
  attention,
  reshape: (x, shape) => tf.reshape(x, shape),
  broadcast: (x, shape) => tf.broadcastTo(x, shape),
  join: (a, b) => tf.concat([a, b], 1),
  cut: (x, from, to) => tf.slice(x, [0, from], [-1, to - from]),
  forward,
  trainingStep,
};

function forward(
  c: Case,
  constants: Named<Tensor>,
  compute: (x: Tensor, constants: Named<Tensor>) => Tensor,
): Prepared {
  const { data, shape } = inputOf(c);
  const call = async () => {
    const y = tf.tidy(() => compute(tf.tensor(data, shape), constants));
    const values = await y.data();
    y.dispose();
    return values;
  };
  return { call, close: () => dispose(Object.values(constants)) };
}

function trainingStep(c: Case, initial: Named<Tensor>, constants: Named<Tensor>, logits: Compute<Tensor>): Prepared {
  const { data, shape } = inputOf(c);
  const targets = oneHotTargets(c);
  const oneHot = tf.tensor(targets.data, targets.shape);
  const variables = Object.fromEntries(Object.entries(initial).map(([name, w]) => [name, tf.variable(w)]));
  const adam = tf.train.adam(ADAM.lr, ADAM.beta1, ADAM.beta2, ADAM.eps);
  const call = async () => {
    const x = tf.tensor(data, shape);
    const loss = adam.minimize(() => {
      const logProbabilities = tf.logSoftmax(logits(x, variables, constants));
      return tf.neg(tf.mean(tf.sum(tf.mul(logProbabilities, oneHot), -1)));
    }, true)!;
    const values = await loss.data();
    dispose([x, loss]);
    return values;
  };
  const close = () => {
    adam.dispose();
    dispose([oneHot, ...[initial, variables, constants].flatMap((tensors) => Object.values(tensors))]);
  };
  return { call, close };
}

function norm(x: Tensor, scale: Tensor, shift: Tensor): Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  const normed = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, GPT2.eps)));
  return tf.add(tf.mul(normed, scale), shift);
}

function attention(qkv: Tensor, { batch: B, tokens: T, heads }: Sequences, mask?: Tensor): Tensor {
  const D = C / heads;
  const apart = (x: Tensor) => tf.transpose(tf.reshape(x, [B, T, heads, D]), [0, 2, 1, 3]);
  const [q, k, v] = tf.split(qkv, 3, 1).map(apart) as [Tensor, Tensor, Tensor];
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(D));
  const weights = tf.softmax(mask ? tf.add(scores, mask) : scores);
  return tf.reshape(tf.transpose(tf.matMul(weights, v), [0, 2, 1, 3]), [B * T, C]);
}

/** 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
function gelu(x: Tensor): Tensor {
  const cubic = tf.mul(tf.mul(tf.mul(x, x), x), 0.044715);
  const t = tf.tanh(tf.mul(tf.add(x, cubic), Math.sqrt(2 / Math.PI)));
  return tf.mul(tf.mul(x, 0.5), tf.add(t, 1));
}

function dispose(tensors: readonly Tensor[]): void {
  for (const t of tensors) t.dispose();
}
