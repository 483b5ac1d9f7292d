import type { KernelSpec } from "../../runtime/kernel.js";
import { type Layout, matmulKernel } from "./matmul.wgsl.js";
import { FOUR_COLUMNS, type WeightType } from "./weight.wgsl.js";

/** Rows of the output that a thread computes, 4 columns wide; measured on SwiftShader: 4, 8, 12 rows 17, 14.5, 16 ms. */
export const PLAIN_ROWS = 8;
/** Threads of a workgroup along the columns and the rows. */
export const PLAIN_GROUP = [16, 4] as const;

/**
 * For SwiftShader, the software driver of Chromium: it has vectors of 4 floats, sixteen registers and no fused multiply-add,
 * so the tiles of the lane kernels spill and barriers cost more than they save. A thread reads all it needs by itself: 4.1
 * GFLOP/s on two cores at 50 x 768 x 768, against 1.9 of 50 rows in lanes and 1.3 of tiles in workgroup memory.
 */
export function plain(layout: Layout, weight: WeightType): KernelSpec {
  const [x, y] = PLAIN_GROUP;
  const rows = Array.from({ length: PLAIN_ROWS }, (_, i) => i);
  return matmulKernel(`${layout}.plain`, weight, "vector", {
    constants: { ROWS: PLAIN_ROWS },
    workgroup: [x, y, 1],
    body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) thread: vec3u) {
  let n = thread.x * 4u;
  let row0 = thread.y * ROWS;
  if (n >= u.N || row0 >= u.M) { return; }
  let k4 = u.K / 4u;
  let aBase = thread.z * (u.aBatch / 4u);
  let bBase = thread.z * (u.bBatch / 4u);
  ${rows.map((i) => `var s${i}: vec4f;`).join(" ")}
${layout === "tn" ? stepsOfK(rows) : vectorsOfK(layout, rows)}
  var sum = array<vec4f, ROWS>(${rows.map((i) => `s${i}`).join(", ")});
  let scales = scale4(n);
  let biases = bias4(n);
  for (var i = 0u; i < ROWS; i++) { store4(thread.z, row0 + i, n, sum[i] * scales + biases); }
}
`,
  });
}

/** A [M,K]: four steps of K at a time. */
function vectorsOfK(layout: "nn" | "nt", rows: readonly number[]): string {
  const b = FOUR_COLUMNS[layout];
  return `${b.before}
  ${rows.map((i) => `let a${i} = aBase + min(row0 + ${i}u, u.M - 1u) * k4;`).join("\n  ")}
  for (var k = 0u; k < k4; k++) {${b.load}
    ${rows.map((i) => `let x${i} = a[a${i} + k];\n    s${i} += x${i}.x * b0 + x${i}.y * b1 + x${i}.z * b2 + x${i}.w * b3;`).join("\n    ")}
  }`;
}

/** A [K,M]: one step of K at a time, of which a load has four rows. */
function stepsOfK(rows: readonly number[]): string {
  const quarters = rows.filter((i) => i % 4 === 0).map((i) => i / 4);
  return `
  let m4 = u.M / 4u;
  let n4 = u.N / 4u;
  ${quarters.map((q) => `let a${q} = aBase + min(row0 / 4u + ${q}u, m4 - 1u);`).join("\n  ")}
  for (var k = 0u; k < u.K; k++) {
    let b = weight4(bBase + k * n4 + n / 4u);
    ${quarters.map((q) => `let x${q} = a[a${q} + k * m4];`).join("\n    ")}
    ${rows.map((i) => `s${i} += x${Math.floor(i / 4)}.${"xyzw"[i % 4]} * b;`).join("\n    ")}
  }`;
}
