import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { type RowGroup, rowGroupParts } from "../rowgroup.js";

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
@compute fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= u.rows) { return; }
  let start = row * u.columns;

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
