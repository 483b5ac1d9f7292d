// TensorFlow.js on its WebGPU backend, with Dawn as the browser. It has no layer norm and no tanh gelu: composed, as its users do.
import type * as tfjs from "@tensorflow/tfjs";
import { sleepBetweenPolls } from "../../src/node/dawn.js";
import {
  ADAM,
  BLOCK_NAMES,
  blockWeights,
  C,
  type Case,
  causalMask,
  GPT2,
  H,
  inputOf,
  matmulWeight,
  mlpWeights,
  normWeights,
  oneHotTargets,
  type Values,
} from "./cases.js";
import { type Library, type Prepared, serve } from "./library.js";
import { installWebGpu } from "./node-globals.js";

type Tensor = tfjs.Tensor;
type Weights = ReadonlyMap<string, Tensor>;

async function open(): Promise<Library> {
  await installWebGpu();
  const tf: typeof tfjs = await import("@tensorflow/tfjs"); // not tfjs-core: its build for Node leaves the gradients out
  await import("@tensorflow/tfjs-backend-webgpu"); // registers itself when it finds navigator.gpu
  if (!(await tf.setBackend("webgpu"))) throw new Error("tfjs could not start its WebGPU backend");
  await tf.ready();
  return { name: `tfjs-webgpu ${tf.version_core}`, prepare: (c) => prepare(tf, c) };
}

async function prepare(tf: typeof tfjs, c: Case): Promise<Prepared> {
  const put = ({ data, shape }: Values) => tf.tensor(data, shape);
  switch (c.type) {
    case "matmul": {
      const w = put(matmulWeight(c));
      return forward(tf, c, [w], (x) => tf.matMul(x, w));
    }
    case "layernorm": {
      const [scale, shift] = normWeights(c.columns).map(put) as [Tensor, Tensor];
      return forward(tf, c, [scale, shift], (x) => norm(tf, x, scale, shift));
    }
    case "softmax":
      return forward(tf, c, [], (x) => tf.softmax(x));
    case "attention": {
      const mask = put(causalMask(c.T));
      return forward(tf, c, [mask], (qkv) => attention(tf, qkv, mask, c.T));
    }
    case "block": {
      const [weights, mask] = [await blockTensors(put), put(causalMask(c.T))];
      return forward(tf, c, [mask, ...weights.values()], (x) => block(tf, x, weights, mask, c.T));
    }
    case "block-step": {
      const [initial, mask] = [await blockTensors(put), put(causalMask(c.T))];
      const variables = BLOCK_NAMES.map((name) => tf.variable(initial.get(name)!));
      const weights = new Map(BLOCK_NAMES.map((name, i) => [name, variables[i]!]));
      return trainingStep(tf, c, [mask, ...initial.values(), ...variables], (x) => block(tf, x, weights, mask, c.T));
    }
    case "mlp-step": {
      const initial = mlpWeights(c).map(put);
      const [w1, w2] = initial.map((w) => tf.variable(w)) as [Tensor, Tensor];
      return trainingStep(tf, c, [...initial, w1, w2], (x) => tf.matMul(tf.relu(tf.matMul(x, w1)), w2));
    }
    case "encode":
    case "decode":
      throw new Error("whole models are compared as ONNX graphs, which tfjs does not read");
  }
}

/** A call uploads the input, computes and reads the result back. */
function forward(tf: typeof tfjs, c: Case, held: readonly Tensor[], compute: (x: Tensor) => Tensor): Prepared {
  const { data, shape } = inputOf(c);
  const call = async () => {
    const y = tf.tidy(() => compute(tf.tensor(data, shape)));
    const values = await read(y);
    y.dispose();
    return values;
  };
  return { call, close: () => dispose(held) };
}

function trainingStep(tf: typeof tfjs, c: Case, held: readonly Tensor[], logitsOf: (x: Tensor) => Tensor): Prepared {
  const { data, shape } = inputOf(c);
  const targets = oneHotTargets(shape[0]!, shape[1]!);
  const oneHot = tf.tensor(targets.data, targets.shape);
  const adam = tf.train.adam(ADAM.lr, ADAM.beta1, ADAM.beta2, ADAM.eps);
  const call = async () => {
    const x = tf.tensor(data, shape);
    const loss = adam.minimize(() => {
      const logProbabilities = tf.logSoftmax(logitsOf(x));
      return tf.neg(tf.mean(tf.sum(tf.mul(logProbabilities, oneHot), -1)));
    }, true)!;
    const values = await read(loss);
    dispose([x, loss]);
    return values;
  };
  const close = () => {
    adam.dispose();
    dispose([oneHot, ...held]);
  };
  return { call, close };
}

async function blockTensors(put: (v: Values) => Tensor): Promise<Weights> {
  return new Map([...(await blockWeights())].map(([name, values]) => [name, put(values)]));
}

function block(tf: typeof tfjs, x: Tensor, w: Weights, mask: Tensor, T: number): Tensor {
  const get = (name: string) => w.get(name)!;
  const linear = (input: Tensor, name: string) => tf.add(tf.matMul(input, get(`${name}.weight`)), get(`${name}.bias`));
  const qkv = linear(norm(tf, x, get("ln_1.weight"), get("ln_1.bias")), "attn.c_attn");
  const y = tf.add(x, linear(attention(tf, qkv, mask, T), "attn.c_proj"));
  const h = gelu(tf, linear(norm(tf, y, get("ln_2.weight"), get("ln_2.bias")), "mlp.c_fc"));
  return tf.add(y, linear(h, "mlp.c_proj"));
}

function norm(tf: typeof tfjs, x: Tensor, scale: Tensor, shift: Tensor): Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  const normed = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, GPT2.eps)));
  return tf.add(tf.mul(normed, scale), shift);
}

/** q|k|v [T, 3C] -> [T, C]. */
function attention(tf: typeof tfjs, qkv: Tensor, mask: Tensor, T: number): Tensor {
  const heads = (x: Tensor) => tf.transpose(tf.reshape(x, [T, H, C / H]), [1, 0, 2]);
  const [q, k, v] = tf.split(qkv, 3, 1).map(heads) as [Tensor, Tensor, Tensor];
  const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(C / H)), mask);
  return tf.reshape(tf.transpose(tf.matMul(tf.softmax(scores), v), [1, 0, 2]), [T, C]);
}

/** gelu_new: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
function gelu(tf: typeof tfjs, x: Tensor): Tensor {
  const cubic = tf.mul(tf.mul(tf.mul(x, x), x), 0.044715);
  const t = tf.tanh(tf.mul(tf.add(x, cubic), Math.sqrt(2 / Math.PI)));
  return tf.mul(tf.mul(x, 0.5), tf.add(t, 1));
}

/** The poll throttle that this project waits with, so that a CPU adapter gets the same cores. */
async function read(x: Tensor): Promise<Float32Array> {
  const done = sleepBetweenPolls();
  try {
    return await x.data();
  } finally {
    done();
  }
}

function dispose(tensors: readonly Tensor[]): void {
  for (const t of tensors) t.dispose();
}

await serve(open);
