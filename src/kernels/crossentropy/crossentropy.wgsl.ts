import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { ELEMENT_WGSL, ELEMENTS_PER_GROUP } from "../grid.js";
import { ROW_ENTRY, type RowGroup, rowGroupParts } from "../rowgroup.js";

/** One workgroup per row; exp(-104) is already 0 in f32, and a masked logit lies 3.4e38 below. */
const ROW_WGSL = /* wgsl */ `
fn power(x: f32, highest: f32) -> f32 { return exp(max(x - highest, -104.0)); }

${ROW_ENTRY}  let start = row * u.columns;
  let chosen = targets[row] - u.first; // wraps above every column for a target before this chunk`;

/**
 * Folds the logits of the vocabulary's entries [first, first + columns) into each row's statistics:
 * (highest logit, sum of exp(logit - highest), the target's logit, unused). The chunk from 0 on begins them.
 */
export function foldKernel(group: RowGroup): KernelSpec {
  const { suffix, functions, spec } = rowGroupParts(group);
  return {
    name: `crossentropy.fold.${suffix}`,
    bindings: [read("logits"), read("targets", "u32"), write("stats", "vec4f")],
    uniforms: [
      ["rows", "u32"],
      ["columns", "u32"],
      ["first", "u32"],
    ],
    ...spec,
    body: /* wgsl */ `${functions}${ROW_WGSL}
  var highest = -3.4e38;
  for (var i = lane; i < u.columns; i += SIZE) { highest = max(highest, logits[start + i]); }
  highest = maxOver(highest, lane);
  var sum = 0.0;
  for (var i = lane; i < u.columns; i += SIZE) { sum += power(logits[start + i], highest); }
  sum = sumOver(sum, lane);

  if (lane != 0u) { return; }
  var s = vec4f(highest, sum, 0.0, 0.0);
  if (u.first > 0u) {
    let before = stats[row];
    s.x = max(before.x, highest);
    s.y = before.y * power(before.x, s.x) + sum * power(highest, s.x);
    s.z = before.z;
  }
  if (chosen < u.columns) { s.z = logits[start + chosen]; }
  stats[row] = s;
}`,
  };
}

/** A row's weight: its own, or the same for all; 0 where the target is no entry of the vocabulary. */
const WEIGHT_WGSL = /* wgsl */ `
fn weight(row: u32) -> f32 {
  if (targets[row] >= u.vocabulary) { return 0.0; }
  return select(u.weight, weights[row], u.weighted == 1u);
}
`;

/** loss = log sum exp(logits) - logit of the target, and the same times the row's weight. */
export const lossKernel: KernelSpec = {
  name: "crossentropy.loss",
  bindings: [read("stats", "vec4f"), read("targets", "u32"), read("weights"), write("losses"), write("weighted")],
  uniforms: [
    ["rows", "u32"],
    ["vocabulary", "u32"],
    ["weight", "f32"],
    ["weighted", "u32"],
  ],
  workgroup: [ELEMENTS_PER_GROUP, 1, 1],
  body: /* wgsl */ `${ELEMENT_WGSL}${WEIGHT_WGSL}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = element(id, groups);
  if (row >= u.rows) { return; }
  let s = stats[row];
  let loss = select(0.0, log(s.y) + (s.x - s.z), targets[row] < u.vocabulary);
  let w = weight(row);
  losses[row] = loss;
  weighted[row] = select(0.0, w * loss, w != 0.0); // a row that does not count may hold anything
}`,
};

/** dlogits = (exp(logit - highest) / sum - [column is the target]) weight dloss, for one chunk of the vocabulary. */
export function crossEntropyBackwardKernel(size: number): KernelSpec {
  return {
    name: `crossentropy.backward.wg${size}`,
    bindings: [
      read("logits"),
      read("targets", "u32"),
      read("weights"),
      read("stats", "vec4f"),
      read("dloss"),
      write("dlogits"),
    ],
    uniforms: [
      ["rows", "u32"],
      ["columns", "u32"],
      ["first", "u32"],
      ["vocabulary", "u32"],
      ["weight", "f32"],
      ["weighted", "u32"],
    ],
    workgroup: [size, 1, 1],
    constants: { SIZE: size },
    body: /* wgsl */ `${WEIGHT_WGSL}${ROW_WGSL}
  // weighted[row] = weight (log(sum) + highest - logit of the target)
  let scale = weight(row) * dloss[0];
  let s = stats[row];
  for (var i = lane; i < u.columns; i += SIZE) {
    let at = start + i;
    let expected = select(0.0, 1.0, i == chosen);
    dlogits[at] = select(0.0, (power(logits[at], s.x) / s.y - expected) * scale, scale != 0.0);
  }
}`,
  };
}
