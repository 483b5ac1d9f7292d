// jax-js on WebGPU, with Dawn as the browser; blocks and steps under jit. Its arrays are consumed by use; `ref` keeps one.
import type * as Jax from "@jax-js/jax";
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
import { type Library, type Prepared, serve, versionOf } from "./library.js";
import { installWebGpu } from "./node-globals.js";

type Array1 = Jax.Array;
type Weights = Readonly<Record<string, Array1>>;

async function open(): Promise<Library> {
  await installWebGpu();
  const jax: typeof Jax = await import("@jax-js/jax");
  const found = await jax.init("webgpu");
  if (!found.includes("webgpu")) throw new Error("jax-js found no WebGPU adapter");
  jax.defaultDevice("webgpu");
  return { name: `jax-js ${versionOf("@jax-js/jax")}`, prepare: (c) => prepare(jax, c) };
}

async function prepare(jax: typeof Jax, c: Case): Promise<Prepared> {
  const { numpy: np, nn } = jax;
  const put = ({ data, shape }: Values) => np.array(data, { shape: [...shape] });
  switch (c.type) {
    case "matmul":
      return forward(jax, c, { w: put(matmulWeight(c)) }, (x, { w }) => np.matmul(x, w!));
    case "layernorm": {
      const [scale, shift] = normWeights(c.columns).map(put);
      return forward(jax, c, { scale: scale!, shift: shift! }, (x, w) => norm(jax, x, w.scale!, w.shift!));
    }
    case "softmax":
      return forward(jax, c, {}, (x) => nn.softmax(x, -1));
    case "attention":
      return forward(jax, c, { mask: put(causalMask(c.T)) }, (qkv, { mask }) => attention(jax, qkv, mask!, c.T));
    case "block": {
      const weights = { ...(await blockArrays(put)), mask: put(causalMask(c.T)) };
      return forward(jax, c, weights, (x, w) => block(jax, x, w, w.mask!, c.T));
    }
    case "block-step": {
      const weights = await blockArrays(put);
      const mask = put(causalMask(c.T));
      return trainingStep(jax, c, weights, { mask }, (x, w, { mask: m }) => block(jax, x, w, m!, c.T));
    }
    case "mlp-step": {
      const [w1, w2] = mlpWeights(c).map(put);
      const logits = (x: Array1, w: Weights) => np.matmul(nn.relu(np.matmul(x, w.w1!)), w.w2!);
      return trainingStep(jax, c, { w1: w1!, w2: w2! }, {}, logits);
    }
    case "encode":
    case "decode":
      throw new Error("whole models are compared as ONNX graphs, which the package @jax-js/jax does not read");
  }
}

/** A call uploads the input, computes and reads the result back. */
function forward(jax: typeof Jax, c: Case, weights: Weights, compute: (x: Array1, w: Weights) => Array1): Prepared {
  const { data, shape } = inputOf(c);
  const compiled = jax.jit(compute);
  const call = () => read(compiled(jax.numpy.array(data, { shape: [...shape] }), refs(weights)));
  return { call, close: () => dispose(weights) };
}

function trainingStep(
  jax: typeof Jax,
  c: Case,
  initial: Weights,
  constants: Weights,
  logitsOf: (x: Array1, w: Weights, constants: Weights) => Array1,
): Prepared {
  const { numpy: np, nn } = jax;
  const { data, shape } = inputOf(c);
  const array = (v: Values) => np.array(v.data, { shape: [...v.shape] });
  const oneHot = array(oneHotTargets(shape[0]!, shape[1]!));
  const lossOf = (w: Weights, x: Array1, target: Array1, fixed: Weights) =>
    np.mean(np.sum(nn.logSoftmax(logitsOf(x, w, fixed), -1).mul(target), -1)).neg();
  const { lr, beta1, beta2, eps } = ADAM;
  const step = jax.jit(
    (w: Weights, m: Weights, v: Weights, x: Array1, target: Array1, c1: Array1, c2: Array1, fixed: Weights) => {
      const [loss, gradients] = jax.valueAndGrad(lossOf)(refs(w), x, target, fixed) as [Array1, Weights];
      const next = {
        w: {} as Record<string, Array1>,
        m: {} as Record<string, Array1>,
        v: {} as Record<string, Array1>,
      };
      for (const name of Object.keys(w)) {
        const g = gradients[name]!;
        const mean = m[name]!.mul(beta1).add(g.ref.mul(1 - beta1));
        const square = v[name]!.mul(beta2).add(np.square(g).mul(1 - beta2));
        const root = np.sqrt(square.ref.div(c2.ref)).add(eps);
        next.w[name] = w[name]!.sub(mean.ref.div(c1.ref).mul(lr).div(root));
        next.m[name] = mean;
        next.v[name] = square;
      }
      c1.dispose();
      c2.dispose();
      return { loss, ...next };
    },
  );
  let state = { w: initial, m: zeros(jax, initial), v: zeros(jax, initial) };
  let t = 0;
  const call = async () => {
    t++;
    const x = np.array(data, { shape: [...shape] });
    const [c1, c2] = [beta1, beta2].map((beta) => np.array(Float32Array.of(1 - beta ** t), { shape: [1] }));
    const { loss, ...next } = step(state.w, state.m, state.v, x, oneHot.ref, c1!, c2!, refs(constants));
    state = next;
    return read(loss);
  };
  const close = () => {
    oneHot.dispose();
    for (const arrays of [state.w, state.m, state.v, constants]) dispose(arrays);
  };
  return { call, close };
}

async function blockArrays(put: (v: Values) => Array1): Promise<Weights> {
  const values = await blockWeights();
  return Object.fromEntries(BLOCK_NAMES.map((name) => [name, put(values.get(name)!)]));
}

function block(jax: typeof Jax, x: Array1, w: Weights, mask: Array1, T: number): Array1 {
  const { numpy: np, nn } = jax;
  const linear = (input: Array1, name: string) => np.matmul(input, w[`${name}.weight`]!).add(w[`${name}.bias`]!);
  const qkv = linear(norm(jax, x.ref, w["ln_1.weight"]!, w["ln_1.bias"]!), "attn.c_attn");
  const y = x.add(linear(attention(jax, qkv, mask, T), "attn.c_proj"));
  const h = nn.gelu(linear(norm(jax, y.ref, w["ln_2.weight"]!, w["ln_2.bias"]!), "mlp.c_fc"));
  return y.add(linear(h, "mlp.c_proj"));
}

function norm({ numpy: np }: typeof Jax, x: Array1, scale: Array1, shift: Array1): Array1 {
  const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }));
  const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
  return centred
    .div(np.sqrt(variance.add(GPT2.eps)))
    .mul(scale)
    .add(shift);
}

/** q|k|v [T, 3C] -> [T, C]. */
function attention({ numpy: np, nn }: typeof Jax, qkv: Array1, mask: Array1, T: number): Array1 {
  const heads = qkv.reshape([T, 3, H, C / H]).transpose([1, 2, 0, 3]); // [3, H, T, D]
  const [q, k, v] = np.split(heads, 3, 0).map((x) => x.reshape([H, T, C / H])) as [Array1, Array1, Array1];
  const scores = np
    .matmul(q, k.transpose([0, 2, 1]))
    .mul(1 / Math.sqrt(C / H))
    .add(mask);
  return np.matmul(nn.softmax(scores, -1), v).transpose([1, 0, 2]).reshape([T, C]);
}

function refs(arrays: Weights): Weights {
  return Object.fromEntries(Object.entries(arrays).map(([name, a]) => [name, a.ref]));
}

function zeros(jax: typeof Jax, like: Weights): Weights {
  return Object.fromEntries(Object.entries(like).map(([name, a]) => [name, jax.numpy.zeros([...a.shape])]));
}

function dispose(arrays: Weights): void {
  for (const a of Object.values(arrays)) a.dispose();
}

/** The poll throttle that this project waits with, so that a CPU adapter gets the same cores. */
async function read(x: Array1): Promise<Float32Array> {
  const done = sleepBetweenPolls();
  try {
    return (await x.data()) as Float32Array;
  } finally {
    done();
  }
}

await serve(open);
