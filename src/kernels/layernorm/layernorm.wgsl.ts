import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { VECTOR_TYPE, type Vector } from "../grid.js";
import { type RowGroup, rowGroupParts } from "../rowgroup.js";

/**
 * One workgroup per row. The mean is taken first, then deviations from it: `delta` is what rounding left of the mean
 * (rows of mean 100 and std 1e-3 would else lose the first digits of the result), so mean and delta stay two numbers.
 */
export function layerNormKernel(group: RowGroup, vector: Vector): KernelSpec {
  const { suffix, functions, spec } = rowGroupParts(group);
  const V = VECTOR_TYPE[vector];
  return {
    name: `layernorm.${suffix}.${V}`,
    bindings: [read("x", V), read("weight", V), read("bias", V), write("y", V)],
    uniforms: [
      ["rows", "u32"],
      ["width", "u32"],
      ["eps", "f32"],
    ],
    ...spec,
    constants: { ...spec.constants, VECTOR: vector },
    aliases: { V },
    body: /* wgsl */ `${functions}
fn total(v: V) -> f32 { return ${vector === 4 ? "dot(v, V(1.0))" : "v"}; }

@compute fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= u.rows) { return; }
  let start = row * u.width;
  let columns = f32(u.width * VECTOR);

  var sum = V();
  for (var i = lane; i < u.width; i += SIZE) { sum += x[start + i]; }
  let mean = sumOver(total(sum), lane) / columns;

  var first = V();
  var second = V();
  for (var i = lane; i < u.width; i += SIZE) {
    let d = x[start + i] - mean;
    first += d;
    second += d * d;
  }
  let delta = sumOver(total(first), lane) / columns;
  let variance = max(0.0, sumOver(total(second), lane) / columns - delta * delta);
  let scale = inverseSqrt(variance + u.eps);

  for (var i = lane; i < u.width; i += SIZE) {
    y[start + i] = (x[start + i] - mean - delta) * scale * weight[i] + bias[i];
  }
}`,
  };
}
