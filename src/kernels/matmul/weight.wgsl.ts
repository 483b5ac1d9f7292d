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
