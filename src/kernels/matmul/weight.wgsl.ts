import type { DType } from "../../runtime/tensor.js";

/** Types that the right-hand operand may be stored in. */
export type WeightType = Extract<DType, "f32" | "f16" | "q8">;

/** How B is bound and decoded: `weight4(i)` gives elements 4i..4i+3, `weight(i)` element i. q8 leaves out its scale. */
export interface WeightCode {
  readonly vectorType: string;
  readonly vector: string;
  readonly scalarType: string;
  readonly scalar: string;
}

export const WEIGHT_CODE: Readonly<Record<WeightType, WeightCode>> = {
  f32: {
    vectorType: "vec4f",
    vector: "fn weight4(i: u32) -> vec4f { return b[i]; }",
    scalarType: "f32",
    scalar: "fn weight(i: u32) -> f32 { return b[i]; }",
  },
  f16: {
    vectorType: "vec2u",
    vector: "fn weight4(i: u32) -> vec4f { return vec4f(unpack2x16float(b[i].x), unpack2x16float(b[i].y)); }",
    scalarType: "u32",
    scalar: "fn weight(i: u32) -> f32 { return unpack2x16float(b[i / 2u])[i % 2u]; }",
  },
  q8: {
    // unpack4x8snorm divides by 127 and is core WGSL; the factor comes back with the row's scale in the epilogue.
    vectorType: "u32",
    vector: "fn weight4(i: u32) -> vec4f { return unpack4x8snorm(b[i]); }",
    scalarType: "u32",
    scalar: "fn weight(i: u32) -> f32 { return unpack4x8snorm(b[i / 4u])[i % 4u]; }",
  },
};

/** WGSL around and in a loop over K, where `k` counts vectors of `k4`, `n` is the first of a thread's 4 columns and `bBase` where B begins. */
export interface ColumnLoads {
  readonly before: string;
  /** Declares b0..b3: 4 columns at 4 steps of K. */
  readonly load: string;
}

export const FOUR_COLUMNS: Readonly<Record<"nn" | "nt", ColumnLoads>> = {
  // B [N,K]: 4 steps of K of each column, and the square is turned in registers, which is only naming.
  nt: {
    before: /* wgsl */ `
  let last = u.N - 1u;
  let row = vec4u(min(n, last), min(n + 1u, last), min(n + 2u, last), min(n + 3u, last)) * k4 + bBase;`,
    load: /* wgsl */ `
    let t0 = weight4(row.x + k);
    let t1 = weight4(row.y + k);
    let t2 = weight4(row.z + k);
    let t3 = weight4(row.w + k);
    let b0 = vec4f(t0.x, t1.x, t2.x, t3.x);
    let b1 = vec4f(t0.y, t1.y, t2.y, t3.y);
    let b2 = vec4f(t0.z, t1.z, t2.z, t3.z);
    let b3 = vec4f(t0.w, t1.w, t2.w, t3.w);`,
  },
  nn: {
    before: /* wgsl */ `
  let n4 = u.N / 4u;
  let column = bBase + min(n / 4u, n4 - 1u);`,
    load: /* wgsl */ `
    let at = column + k * 4u * n4;
    let b0 = weight4(at);
    let b1 = weight4(at + n4);
    let b2 = weight4(at + 2u * n4);
    let b3 = weight4(at + 3u * n4);`,
  },
};
