import { type Binding, type KernelSpec, read, texture, type UniformField, write } from "../../runtime/kernel.js";
import { ACTIVATION_WGSL } from "../activation/activation.wgsl.js";
import { WEIGHT_CODE, type WeightType } from "./weight.wgsl.js";

/**
 * out[m, n] = act(sum_k A[m, k] B[k, n] + bias[n]) + residual[m, n]
 *
 * Layouts say how A and B are stored: nn A[M,K] B[K,N]; nt B[N,K] (a torch Linear's weight); tn A[K,M] (a gradient of
 * the weight). Batches lie along workgroup_id.z.
 */
export type Layout = "nn" | "nt" | "tn";

/** Bits of `flags`. */
export const FLAG = { bias: 1, residual: 2 } as const;

const UNIFORMS: readonly UniformField[] = [
  ["M", "u32"],
  ["K", "u32"],
  ["N", "u32"], // columns of this B, which may be one part of a split tensor
  ["column0", "u32"], // first column of that part in `out`
  ["outStride", "u32"], // columns of `out`
  ["aBatch", "u32"],
  ["bBatch", "u32"],
  ["flags", "u32"],
  ["activation", "u32"],
  ["accumulate", "u32"], // add to what `out` holds: gradients of parameters
];

/** Of kernels that compute the sum over a part of K, from `kStart` to before `kEnd`. */
export const K_RANGE: readonly UniformField[] = [
  ["kStart", "u32"],
  ["kEnd", "u32"],
];

/** `store` ends one sum, `store4` those of four neighbouring columns whose scale and bias the caller has at hand. */
const STORE = /* wgsl */ `
fn put(at: u32, activated: f32) {
  var value = activated;
  if ((u.flags & ${FLAG.residual}u) != 0u) { value += residual[at]; }
  if (u.accumulate != 0u) { value += out[at]; }
  out[at] = value;
}

fn columnBias(n: u32) -> f32 {
  if ((u.flags & ${FLAG.bias}u) == 0u) { return 0.0; }
  return bias[u.column0 + n];
}

// Scale and bias of four neighbouring columns, for sums that end in store4; columns beyond the last are stored nowhere.
fn scale4(n: u32) -> vec4f {
  let last = u.N - 1u;
  return vec4f(columnScale(min(n, last)), columnScale(min(n + 1u, last)), columnScale(min(n + 2u, last)), columnScale(min(n + 3u, last)));
}

fn bias4(n: u32) -> vec4f {
  let last = u.N - 1u;
  return vec4f(columnBias(min(n, last)), columnBias(min(n + 1u, last)), columnBias(min(n + 2u, last)), columnBias(min(n + 3u, last)));
}

fn store(batch: u32, row: u32, n: u32, sum: f32) {
  if (row >= u.M || n >= u.N) { return; }
  let value = sum * columnScale(n) + columnBias(n);
  put((batch * u.M + row) * u.outStride + u.column0 + n, activate(u.activation, value));
}

// One question for four columns, and none about the kind of no activation: with 50 steps of K a quarter of dW's time.
fn store4(batch: u32, row: u32, n: u32, sum: vec4f) {
  if (row >= u.M) { return; }
  var value = sum;
  if (u.activation != 0u) { value = activate4(u.activation, sum); }
  let at = (batch * u.M + row) * u.outStride + u.column0 + n;
  if (n + 4u > u.N) {
    for (var j = 0u; n + j < u.N; j++) { put(at + j, value[j]); }
    return;
  }
  if ((u.flags & ${FLAG.residual}u) != 0u) { value += vec4f(residual[at], residual[at + 1u], residual[at + 2u], residual[at + 3u]); }
  if (u.accumulate != 0u) { value += vec4f(out[at], out[at + 1u], out[at + 2u], out[at + 3u]); }
  out[at] = value.x;
  out[at + 1u] = value.y;
  out[at + 2u] = value.z;
  out[at + 3u] = value.w;
}
`;

const PLAIN_SCALE = "fn columnScale(n: u32) -> f32 { return 1.0; }";
const ROW_SCALE = "fn columnScale(n: u32) -> f32 { return scale[u.column0 + n] * 127.0; }";

/**
 * A kernel over `a` and `b` whose sums end in `store` or `store4`. It reads them as vec4f or one by one; `texture` is vec4f
 * with `a` in a texture.
 */
export function matmulKernel(
  variant: string,
  weight: WeightType,
  access: "vector" | "scalar" | "texture",
  rest: Pick<KernelSpec, "constants" | "workgroup" | "enables" | "body"> & { readonly range?: readonly UniformField[] },
): KernelSpec {
  const code = WEIGHT_CODE[weight];
  const vector = access !== "scalar";
  const bindings: Binding[] = [
    access === "texture" ? texture("a") : read("a", vector ? "vec4f" : "f32"),
    read("b", vector ? code.vectorType : code.scalarType),
    read("bias"),
    read("residual"),
    write("out"),
  ];
  if (weight === "q8") bindings.push(read("scale"));
  const { range = [], ...spec } = rest;
  return {
    ...spec,
    name: `matmul.${variant}.${weight}`,
    bindings,
    uniforms: [...UNIFORMS, ...range],
    body: [
      ACTIVATION_WGSL,
      vector ? code.vector : code.scalar,
      weight === "q8" ? ROW_SCALE : PLAIN_SCALE,
      STORE,
      rest.body,
    ].join("\n"),
  };
}

/** 1-8 rows on a GPU (decoding): 64 threads share the K axis of 4 columns, then add up in workgroup memory. */
export function fewRows(rows: number, weight: WeightType): KernelSpec {
  return matmulKernel(`nt.few.r${rows}`, weight, "vector", {
    constants: { R: rows },
    workgroup: [64, 1, 1],
    body: /* wgsl */ `
var<workgroup> partial: array<vec4f, 64u * R>;

@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let k4 = u.K / 4u;
  let n = group.x * 4u;
  let row0 = group.y * R;
  let aBase = group.z * (u.aBatch / 4u);
  let last = u.N - 1u;
  let row = vec4u(min(n, last), min(n + 1u, last), min(n + 2u, last), min(n + 3u, last)) * k4
    + group.z * (u.bBatch / 4u);
  var sum: array<vec4f, R>;
  for (var k = thread; k < k4; k += 64u) {
    let t0 = weight4(row.x + k);
    let t1 = weight4(row.y + k);
    let t2 = weight4(row.z + k);
    let t3 = weight4(row.w + k);
    for (var i = 0u; i < R; i++) {
      let x = a[aBase + min(row0 + i, u.M - 1u) * k4 + k];
      sum[i] += vec4f(dot(x, t0), dot(x, t1), dot(x, t2), dot(x, t3));
    }
  }
  for (var i = 0u; i < R; i++) { partial[thread * R + i] = sum[i]; }
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      for (var i = 0u; i < R; i++) { partial[thread * R + i] += partial[(thread + half) * R + i]; }
    }
  }
  workgroupBarrier();
  if (thread < R) {
    for (var j = 0u; j < 4u; j++) { store(group.z, row0 + thread, n + j, partial[thread][j]); }
  }
}
`,
  });
}
