import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { contributionParts } from "../contribution.js";
import { VECTOR_TYPE, type Vector } from "../grid.js";
import { ROW_ENTRY, type RowGroup, rowGroupParts } from "../rowgroup.js";

/** Rows that one invocation adds up, as in `columnSum`, which adds up the partial sums. */
export const WEIGHT_CHUNK = 64;

/**
 * One workgroup per row. The mean is taken first, then deviations from it: `delta` is what rounding left of the mean
 * (rows of mean 100 and std 1e-3 would else lose the first digits of the result), so mean and delta stay two numbers.
 * `stats` keeps mean, delta and scale of each row for the backward: at 208 x 768 on lavapipe its kernel takes 0.35 ms
 * with them and 0.68 when it computes them again, and to write them costs the forward nothing that can be measured.
 */
export function layerNormKernel(group: RowGroup, vector: Vector): KernelSpec {
  const { suffix, functions, spec } = rowGroupParts(group);
  const V = VECTOR_TYPE[vector];
  return {
    name: `layernorm.${suffix}.${V}`,
    bindings: [read("x", V), read("weight", V), read("bias", V), write("y", V), write("stats")],
    uniforms: [
      ["rows", "u32"],
      ["width", "u32"],
      ["eps", "f32"],
    ],
    ...spec,
    constants: { ...spec.constants, VECTOR: vector },
    aliases: { V },
    body: /* wgsl */ `${functions}
${total(vector)}
${ROW_ENTRY}  let start = row * u.width;
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
  if (lane == 0u) {
    stats[3u * row] = mean;
    stats[3u * row + 1u] = delta;
    stats[3u * row + 2u] = scale;
  }

  for (var i = lane; i < u.width; i += SIZE) {
    y[start + i] = (x[start + i] - mean - delta) * scale * weight[i] + bias[i];
  }
}`,
  };
}

function total(vector: Vector): string {
  return /* wgsl */ `
fn total(v: V) -> f32 { return ${vector === 4 ? "dot(v, V(1.0))" : "v"}; }
`;
}

/**
 * dx of y = n weight + bias, n = (x - mean) scale. With g = dy weight:  dx = scale (g - mean(g) - n mean(g n)),  the
 * means over the row. One workgroup per row.
 */
export function layerNormBackwardKernel(group: RowGroup, vector: Vector): KernelSpec {
  const { suffix, functions, spec } = rowGroupParts(group);
  const to = contributionParts(vector);
  const V = VECTOR_TYPE[vector];
  return {
    name: `layernorm.backward.${suffix}.${V}`,
    bindings: [read("x", V), read("weight", V), read("dy", V), read("stats"), ...to.bindings],
    uniforms: [["rows", "u32"], ["width", "u32"], ...to.uniforms],
    ...spec,
    constants: { ...spec.constants, VECTOR: vector },
    aliases: to.aliases,
    body: /* wgsl */ `${functions}${to.functions}${total(vector)}
${ROW_ENTRY}  let start = row * u.width;
  let columns = f32(u.width * VECTOR);
  let mean = stats[3u * row];
  let delta = stats[3u * row + 1u];
  let scale = stats[3u * row + 2u];

  var first = V();
  var second = V();
  for (var i = lane; i < u.width; i += SIZE) {
    let g = dy[start + i] * weight[i];
    first += g;
    second += g * (x[start + i] - mean - delta);
  }
  let g_mean = sumOver(total(first), lane) / columns;
  let slope = scale * scale * sumOver(total(second), lane) / columns;

  for (var i = lane; i < u.width; i += SIZE) {
    let at = start + i;
    contribute(at, scale * (dy[at] * weight[i] - g_mean - (x[at] - mean - delta) * slope));
  }
}`,
  };
}

/** Partial sums of dweight = sum over rows of dy n, one for every CHUNK rows: [ceil(rows / CHUNK), C]. */
export function layerNormWeightKernel(vector: Vector): KernelSpec {
  const V = VECTOR_TYPE[vector];
  return {
    name: `layernorm.weight.${V}`,
    bindings: [read("x", V), read("dy", V), read("stats"), write("partial", V)],
    uniforms: [
      ["rows", "u32"],
      ["width", "u32"],
    ],
    aliases: { V },
    constants: { CHUNK: WEIGHT_CHUNK },
    workgroup: [64, 1, 1],
    body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u) {
  let column = id.x;
  if (column >= u.width) { return; }
  var sum = V();
  let end = min(u.rows, (group.y + 1u) * CHUNK);
  for (var row = group.y * CHUNK; row < end; row++) {
    let at = row * u.width + column;
    sum += dy[at] * ((x[at] - stats[3u * row] - stats[3u * row + 1u]) * stats[3u * row + 2u]);
  }
  partial[group.y * u.width + column] = sum;
}`,
  };
}
