import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { contributionParts } from "../contribution.js";
import { ROW_ENTRY, type RowGroup, rowGroupParts } from "../rowgroup.js";

/** One workgroup per row. Divided by its largest element first, a row's squares neither overflow nor vanish. */
export function l2NormalizeKernel(group: RowGroup): KernelSpec {
  const { suffix, functions, spec } = rowGroupParts(group);
  return {
    name: `l2norm.${suffix}`,
    bindings: [read("x"), write("y")],
    uniforms: [
      ["rows", "u32"],
      ["columns", "u32"],
    ],
    ...spec,
    body: /* wgsl */ `${functions}
${ROW_ENTRY}  let start = row * u.columns;

  var largest = 0.0;
  for (var i = lane; i < u.columns; i += SIZE) { largest = max(largest, abs(x[start + i])); }
  largest = maxOver(largest, lane);
  let unit = select(largest, 1.0, largest == 0.0);

  var sum = 0.0;
  for (var i = lane; i < u.columns; i += SIZE) {
    let v = x[start + i] / unit;
    sum += v * v;
  }
  let norm = max(1.0, sqrt(sumOver(sum, lane))); // at least 1 by the division, but for a row of zeros

  for (var i = lane; i < u.columns; i += SIZE) { y[start + i] = x[start + i] / unit / norm; }
}`,
  };
}

/**
 * dx of y = x / n with n the norm of the row:  dx = (dy - y (y . dy)) / n.  n is x / y at the largest element, which
 * needs no square. Zeros for a row of zeros, where there is no gradient.
 */
export function l2NormalizeBackwardKernel(group: RowGroup): KernelSpec {
  const { suffix, functions, spec } = rowGroupParts(group);
  const to = contributionParts(1);
  return {
    name: `l2norm.backward.${suffix}`,
    bindings: [read("x"), read("y"), read("dy"), ...to.bindings],
    uniforms: [["rows", "u32"], ["columns", "u32"], ...to.uniforms],
    ...spec,
    aliases: to.aliases,
    body: /* wgsl */ `${functions}${to.functions}
${ROW_ENTRY}  let start = row * u.columns;

  var largest_x = 0.0;
  var largest_y = 0.0;
  var sum = 0.0;
  for (var i = lane; i < u.columns; i += SIZE) {
    largest_x = max(largest_x, abs(x[start + i]));
    largest_y = max(largest_y, abs(y[start + i]));
    sum += y[start + i] * dy[start + i];
  }
  largest_x = maxOver(largest_x, lane);
  largest_y = maxOver(largest_y, lane);
  let along = sumOver(sum, lane);

  for (var i = lane; i < u.columns; i += SIZE) {
    var value = 0.0;
    if (largest_x > 0.0) { value = (dy[start + i] - y[start + i] * along) * largest_y / largest_x; }
    contribute(start + i, value);
  }
}`,
  };
}
