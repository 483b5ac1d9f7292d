import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { ELEMENT_WGSL, ELEMENTS_PER_GROUP, VECTOR_TYPE, type Vector } from "../grid.js";

const ENTRY = /* wgsl */ `${ELEMENT_WGSL}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i >= u.count * u.width) { return; }
  let row = i / u.width;
  let column = i % u.width;`;

/**
 * Copies `count` rows. Row i is item i % period of group i / period; source and target each have a first row, a
 * distance between groups and one between items, which covers slices, strides, joins and repeats.
 */
export function copyRowsKernel(vector: Vector): KernelSpec {
  const V = VECTOR_TYPE[vector];
  return {
    name: `rows.copy.${V}`,
    bindings: [read("x", V), write("y", V)],
    uniforms: [
      ["count", "u32"],
      ["width", "u32"],
      ["period", "u32"],
      ["from_first", "u32"],
      ["from_group", "u32"],
      ["from_item", "u32"],
      ["to_first", "u32"],
      ["to_group", "u32"],
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    body: /* wgsl */ `${ENTRY}
  let group = row / u.period;
  let item = row % u.period;
  let source = u.from_first + group * u.from_group + item * u.from_item;
  let target_row = u.to_first + group * u.to_group + item;
  y[target_row * u.width + column] = x[source * u.width + column];
}`,
  };
}

/** y[row] = x[row] + table[start + row % period]. */
export function addRowsKernel(vector: Vector): KernelSpec {
  const V = VECTOR_TYPE[vector];
  return {
    name: `rows.add.${V}`,
    bindings: [read("x", V), read("table", V), write("y", V)],
    uniforms: [
      ["count", "u32"],
      ["width", "u32"],
      ["start", "u32"],
      ["period", "u32"],
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    body: /* wgsl */ `${ENTRY}
  y[i] = x[i] + table[(u.start + row % u.period) * u.width + column];
}`,
  };
}

/** y[row, column] = x[row, first + column]: a block of columns, which starts anywhere and so is copied one by one. */
export const sliceColumnsKernel: KernelSpec = {
  name: "rows.columns",
  bindings: [read("x"), write("y")],
  uniforms: [
    ["count", "u32"],
    ["width", "u32"],
    ["first", "u32"],
    ["stride", "u32"],
  ],
  workgroup: [ELEMENTS_PER_GROUP, 1, 1],
  body: /* wgsl */ `${ENTRY}
  y[i] = x[row * u.stride + u.first + column];
}`,
};
