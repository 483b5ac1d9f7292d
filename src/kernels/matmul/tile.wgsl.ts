import type { KernelSpec } from "../../runtime/kernel.js";
import { type Layout, matmulKernel } from "./matmul.wgsl.js";
import type { WeightType } from "./weight.wgsl.js";

/** Rows and columns of the output that a workgroup computes. */
export type TileSize = 64 | 128;

/**
 * Tiles in workgroup memory, for GPUs and for shapes that are not multiples of 4. A workgroup of 256 threads computes
 * size x size outputs, a thread (size / 16) x (size / 16) of them as vectors of 4 columns, with 1024 / size steps of K at a
 * time: 64 x 64 needs 2 loads of workgroup memory for 4 fma, 128 x 128 needs 4 for 16. 8 KiB of workgroup memory, inside
 * WebGPU's default limits. A step of K has one vector more than it holds, so that threads that write along K meet different
 * banks.
 */
export function tile(layout: Layout, weight: WeightType, size: TileSize): KernelSpec {
  const vectors = size / 64;
  const each = <T>(code: (i: number) => T) => Array.from({ length: vectors }, (_, i) => code(i));
  const sum = (i: number, r: number, j: number) => `s${(i * 4 + r) * vectors + j}`;
  const sums = Array.from({ length: 4 * vectors ** 2 }, (_, i) => `s${i}`);
  const multiply = each((i) =>
    ["x", "y", "z", "w"].map((component, r) =>
      each((j) => `${sum(i, r, j)} = fma(vec4f(x${i}.${component}), y${j}, ${sum(i, r, j)});`),
    ),
  ).flat(2);
  return matmulKernel(`${layout}.tile${size}`, weight, "scalar", {
    constants: {
      A_ROW_MAJOR: layout !== "tn",
      B_ROW_MAJOR: layout !== "nt",
      SIZE: size,
      STEP: 1024 / size,
      VECTORS: size / 4,
      PITCH: size / 4 + 1,
      SUMS: sums.length,
    },
    workgroup: [256, 1, 1],
    body: /* wgsl */ `
var<workgroup> tileA: array<vec4f, STEP * PITCH>; // [STEP][PITCH], 4 rows a vector
var<workgroup> tileB: array<vec4f, STEP * PITCH>; // [STEP][PITCH], 4 columns a vector

fn aAt(batch: u32, row: u32, k: u32) -> f32 {
  if (row >= u.M || k >= u.K) { return 0.0; }
  return a[batch * u.aBatch + select(k * u.M + row, row * u.K + k, A_ROW_MAJOR)];
}

fn bAt(batch: u32, k: u32, n: u32) -> f32 {
  if (n >= u.N || k >= u.K) { return 0.0; }
  return weight(batch * u.bBatch + select(n * u.K + k, k * u.N + n, B_ROW_MAJOR));
}

@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let batch = group.z;
  let ty = thread / 16u;
  let tx = thread % 16u;
  // Neighbouring threads read neighbouring addresses: along K where K is the inner axis, else along the tile.
  let ak = select(thread / VECTORS, thread % STEP, A_ROW_MAJOR);
  let ar = select(thread % VECTORS, thread / STEP, A_ROW_MAJOR);
  let bk = select(thread % STEP, thread / VECTORS, B_ROW_MAJOR);
  let bn = select(thread / STEP, thread % VECTORS, B_ROW_MAJOR);
  let row = group.y * SIZE + ar * 4u;
  let column = group.x * SIZE + bn * 4u;
  ${sums.map((name) => `var ${name}: vec4f;`).join(" ")}
  for (var k0 = 0u; k0 < u.K; k0 += STEP) {
    let k = k0 + ak;
    tileA[ak * PITCH + ar] = vec4f(aAt(batch, row, k), aAt(batch, row + 1u, k), aAt(batch, row + 2u, k), aAt(batch, row + 3u, k));
    let l = k0 + bk;
    tileB[bk * PITCH + bn] = vec4f(bAt(batch, l, column), bAt(batch, l, column + 1u), bAt(batch, l, column + 2u), bAt(batch, l, column + 3u));
    workgroupBarrier();
    for (var step = 0u; step < STEP; step++) {
      ${each((i) => `let x${i} = tileA[step * PITCH + ${16 * i}u + ty];`).join(" ")}
      ${each((j) => `let y${j} = tileB[step * PITCH + ${16 * j}u + tx];`).join(" ")}
      ${multiply.join("\n      ")}
    }
    workgroupBarrier();
  }
  var sum = array<vec4f, SUMS>(${sums.join(", ")});
  for (var j = 0u; j < ${vectors}u; j++) {
    let n = group.x * SIZE + 64u * j + 4u * tx;
    let scales = scale4(n);
    let biases = bias4(n);
    for (var i = 0u; i < 4u * ${vectors}u; i++) {
      let m = group.y * SIZE + 64u * (i / 4u) + 4u * ty + i % 4u;
      store4(batch, m, n, sum[i * ${vectors}u + j] * scales + biases);
    }
  }
}
`,
  });
}
