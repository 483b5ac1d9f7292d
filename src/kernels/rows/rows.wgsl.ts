import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { contributionParts } from "../contribution.js";
import { ELEMENT_WGSL, ELEMENTS_PER_GROUP, VECTOR_TYPE, type Vector } from "../grid.js";

const ENTRY = /* wgsl */ `${ELEMENT_WGSL}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i >= u.count * u.width) { return; }
  let row = i / u.width;
  let column = i % u.width;`;

/**
 * Copies `count` rows. Row i is item i % period of group i / period; source and target each have a first row and
 * a distance between groups, which covers slices, strides, joins and repeats.
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
      ["to_first", "u32"],
      ["to_group", "u32"],
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    body: /* wgsl */ `${ENTRY}
  let group = row / u.period;
  let item = row % u.period;
  let source = u.from_first + group * u.from_group + item;
  let target_row = u.to_first + group * u.to_group + item;
  y[target_row * u.width + column] = x[source * u.width + column];
}`,
  };
}

/**
 * dx of y[to_first + g to_group + t] = x[from_first + g from_group + t]: the row of dy that each row of x went to, or
 * zeros. Where from_group is 0 all groups came from the same rows, whose gradient is the sum over the groups. `count`
 * rows of x, `copied` rows of y.
 */
export function copyRowsBackwardKernel(vector: Vector): KernelSpec {
  const to = contributionParts(vector);
  return {
    name: `rows.copy.backward.${VECTOR_TYPE[vector]}`,
    bindings: [read("dy", VECTOR_TYPE[vector]), ...to.bindings],
    uniforms: [
      ["count", "u32"],
      ["width", "u32"],
      ["copied", "u32"],
      ["period", "u32"],
      ["from_first", "u32"],
      ["from_group", "u32"],
      ["to_first", "u32"],
      ["to_group", "u32"],
      ...to.uniforms,
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    aliases: to.aliases,
    body: /* wgsl */ `${to.functions}${ENTRY}
  var value = V();
  if (row >= u.from_first) {
    let repeated = u.from_group == 0u;
    let distance = row - u.from_first;
    let first = select(distance / max(u.from_group, 1u), 0u, repeated);
    let last = select(first, u.copied / u.period, repeated);
    let item = distance - first * u.from_group;
    if (item < u.period) {
      for (var group = first; group <= last && group * u.period + item < u.copied; group++) {
        value += dy[(u.to_first + group * u.to_group + item) * u.width + column];
      }
    }
  }
  contribute(i, value);
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
