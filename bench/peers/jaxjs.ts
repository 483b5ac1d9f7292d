// jax-js on WebGPU; everything under jit. Its arrays are consumed by use; `ref` keeps one.
import * as jax from "@jax-js/jax";
import { type ArrayLibrary, type Compute, type Named, prepareArrays, type Sequences } from "./arrays.js";
import { ADAM, C, type Case, GPT2, inputOf, oneHotTargets, type Values } from "./cases.js";
import type { Library, Prepared } from "./library.js";
import pins from "./package.json" with { type: "json" };

const { numpy: np, nn } = jax;
type Array1 = jax.Array;
type Arrays = Named<Array1>;

export async function open(): Promise<Library> {
  const found = await jax.init("webgpu");
  if (!found.includes("webgpu")) throw new Error("jax-js found no WebGPU adapter");
  jax.defaultDevice("webgpu");
  return { name: `jax-js ${pins.dependencies["@jax-js/jax"]}`, prepare: (c) => prepareArrays(library, c) };
}

const library: ArrayLibrary<Array1> = {
  put,
  again: (x) => x.ref,
  add: (a, b) => a.add(b),
  matmul: (a, b) => np.matmul(a, b),
  relu: (x) => nn.relu(x),
  gelu: (x) => nn.gelu(x),
  softmax: (x) => nn.softmax(x, -1),
  norm,
  attention,
  reshape: (x, shape) => x.reshape([...shape]),
  broadcast: (x, shape) => np.broadcastTo(x, [...shape]),
  join: (a, b) => np.concatenate([a, b], 1),
  cut: (x, from, to) => x.slice([], [from, to]),
  forward,
  trainingStep,
};

function put({ data, shape }: Values): Array1 {
  return np.array(data, { shape: [...shape] });
}

function forward(c: Case, constants: Arrays, compute: (x: Array1, constants: Arrays) => Array1): Prepared {
  const input = inputOf(c);
  const compiled = jax.jit(compute);
  return { call: () => read(compiled(put(input), refs(constants))), close: () => dispose(constants) };
}

function trainingStep(c: Case, initial: Arrays, constants: Arrays, logits: Compute<Array1>): Prepared {
  const input = inputOf(c);
  const oneHot = put(oneHotTargets(c));
  const lossOf = (w: Arrays, x: Array1, target: Array1, fixed: Arrays) =>
    np.mean(np.sum(nn.logSoftmax(logits(x, w, fixed), -1).mul(target), -1)).neg();
  const { lr, beta1, beta2, eps } = ADAM;
  const step = jax.jit(
    (w: Arrays, m: Arrays, v: Arrays, x: Array1, target: Array1, c1: Array1, c2: Array1, fixed: Arrays) => {
      const [loss, gradients] = jax.valueAndGrad(lossOf)(refs(w), x, target, fixed) as [Array1, Arrays];
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
  let state = { w: initial, m: zeros(initial), v: zeros(initial) };
  let t = 0;
  const call = () => {
    t++;
    const [c1, c2] = [beta1, beta2].map((beta) => np.array(Float32Array.of(1 - beta ** t), { shape: [1] }));
    const { loss, ...next } = step(state.w, state.m, state.v, put(input), oneHot.ref, c1!, c2!, refs(constants));
    state = next;
    return read(loss);
  };
  const close = () => {
    oneHot.dispose();
    for (const arrays of [state.w, state.m, state.v, constants]) dispose(arrays);
  };
  return { call, close };
}

function norm(x: Array1, scale: Array1, shift: Array1): Array1 {
  const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }));
  const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
  return centred
    .div(np.sqrt(variance.add(GPT2.eps)))
    .mul(scale)
    .add(shift);
}

function attention(qkv: Array1, { batch: B, tokens: T, heads }: Sequences, mask?: Array1): Array1 {
  const D = C / heads;
  const parts = qkv.reshape([B, T, 3, heads, D]).transpose([2, 0, 3, 1, 4]); // [3, B, H, T, D]
  const [q, k, v] = np.split(parts, 3, 0).map((x) => x.reshape([B, heads, T, D])) as [Array1, Array1, Array1];
  const scores = np.matmul(q, k.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(D));
  const weights = nn.softmax(mask ? scores.add(mask) : scores, -1);
  return np
    .matmul(weights, v)
    .transpose([0, 2, 1, 3])
    .reshape([B * T, C]);
}

function refs(arrays: Arrays): Arrays {
  return Object.fromEntries(Object.entries(arrays).map(([name, a]) => [name, a.ref]));
}

function zeros(like: Arrays): Arrays {
  return Object.fromEntries(Object.entries(like).map(([name, a]) => [name, np.zeros([...a.shape])]));
}

function dispose(arrays: Arrays): void {
  for (const a of Object.values(arrays)) a.dispose();
}

async function read(x: Array1): Promise<Float32Array> {
  return (await x.data()) as Float32Array;
}
