import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { contributionParts } from "../contribution.js";
import { ROW_ENTRY, type RowGroup, rowGroupParts } from "../rowgroup.js";

/** One workgroup per row, element by element: rows of any length. `logarithm` is 1 for log-softmax. */
export function softmaxKernel(group: RowGroup): KernelSpec {
  const { suffix, functions, spec } = rowGroupParts(group);
  return {
    name: `softmax.${suffix}`,
    bindings: [read("x"), write("y")],
    uniforms: [
      ["rows", "u32"],
      ["columns", "u32"],
      ["logarithm", "u32"],
    ],
    ...spec,
    body: /* wgsl */ `${functions}
// A masked element lies 3.4e38 below; exp(-104) is already 0 in f32.
fn power(x: f32, highest: f32) -> f32 { return exp(max(x - highest, -104.0)); }

${ROW_ENTRY}  let start = row * u.columns;

  var highest = -3.4e38;
  for (var i = lane; i < u.columns; i += SIZE) { highest = max(highest, x[start + i]); }
  highest = maxOver(highest, lane);

  var sum = 0.0;
  for (var i = lane; i < u.columns; i += SIZE) { sum += power(x[start + i], highest); }
  sum = sumOver(sum, lane);

  let log_sum = log(sum);
  for (var i = lane; i < u.columns; i += SIZE) {
    let v = x[start + i];
    if (u.logarithm == 1u) {
      y[start + i] = v - highest - log_sum;
    } else {
      y[start + i] = power(v, highest) / sum;
    }
  }
}`,
  };
}

/**
 * dx from the result y of each row:  y (dy - sum(y dy))  for y = softmax(x),  dy - exp(y) sum(dy)  for its logarithm.
 */
export function softmaxBackwardKernel(group: RowGroup): KernelSpec {
  const { suffix, functions, spec } = rowGroupParts(group);
  const to = contributionParts(1);
  return {
    name: `softmax.backward.${suffix}`,
    bindings: [read("y"), read("dy"), ...to.bindings],
    uniforms: [["rows", "u32"], ["columns", "u32"], ["logarithm", "u32"], ...to.uniforms],
    ...spec,
    aliases: to.aliases,
    body: /* wgsl */ `${functions}${to.functions}
${ROW_ENTRY}  let start = row * u.columns;

  var sum = 0.0;
  for (var i = lane; i < u.columns; i += SIZE) {
    sum += dy[start + i] * select(y[start + i], 1.0, u.logarithm == 1u);
  }
  sum = sumOver(sum, lane);

  for (var i = lane; i < u.columns; i += SIZE) {
    let at = start + i;
    if (u.logarithm == 1u) {
      contribute(at, dy[at] - exp(max(y[at], -104.0)) * sum);
    } else {
      contribute(at, y[at] * (dy[at] - sum));
    }
  }
}`,
  };
}
