import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { contributionParts } from "../contribution.js";
import { ELEMENT_WGSL, ELEMENTS_PER_GROUP, VECTOR_TYPE, type Vector } from "../grid.js";

/**
 * Image to patch rows: y[b, py, px][c, dy, dx] = x[b, c, py P + dy, px P + dx]. Along x everything counts in units of V:
 * `size_x` and `patch_x` are S and P divided by the vector.
 */
export function patchesKernel(vector: Vector): KernelSpec {
  const V = VECTOR_TYPE[vector];
  return {
    name: `patch.rows.${V}`,
    bindings: [read("x", V), write("y", V)],
    uniforms: [
      ["count", "u32"],
      ["channels", "u32"],
      ["size_y", "u32"],
      ["size_x", "u32"],
      ["patch_y", "u32"],
      ["patch_x", "u32"],
      ["grid", "u32"],
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    body: /* wgsl */ `${ELEMENT_WGSL}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i >= u.count) { return; }
  var rest = i;
  let dx = rest % u.patch_x; rest /= u.patch_x;
  let dy = rest % u.patch_y; rest /= u.patch_y;
  let channel = rest % u.channels; rest /= u.channels;
  let px = rest % u.grid; rest /= u.grid;
  let py = rest % u.grid;
  let image = rest / u.grid;
  let line = (image * u.channels + channel) * u.size_y + py * u.patch_y + dy;
  y[i] = x[line * u.size_x + px * u.patch_x + dx];
}`,
  };
}

/** dx of `patchesKernel`: what the one patch of a pixel holds, zeros for the pixels left over at the right and below. */
export function patchesBackwardKernel(vector: Vector): KernelSpec {
  const to = contributionParts(vector);
  return {
    name: `patch.rows.backward.${VECTOR_TYPE[vector]}`,
    bindings: [read("dy", VECTOR_TYPE[vector]), ...to.bindings],
    uniforms: [
      ["count", "u32"],
      ["channels", "u32"],
      ["size_y", "u32"],
      ["size_x", "u32"],
      ["patch_y", "u32"],
      ["patch_x", "u32"],
      ["grid", "u32"],
      ...to.uniforms,
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    aliases: to.aliases,
    body: /* wgsl */ `${ELEMENT_WGSL}${to.functions}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i >= u.count) { return; }
  var rest = i;
  let x = rest % u.size_x; rest /= u.size_x;
  let y = rest % u.size_y; rest /= u.size_y;
  let channel = rest % u.channels;
  let image = rest / u.channels;
  let px = x / u.patch_x;
  let py = y / u.patch_y;
  var value = V();
  if (px < u.grid && py < u.grid) {
    let row = ((image * u.grid + py) * u.grid + px) * u.channels + channel;
    value = dy[(row * u.patch_y + y % u.patch_y) * u.patch_x + x % u.patch_x];
  }
  contribute(i, value);
}`,
  };
}

/** y[b, 0] = cls + positions[0]; y[b, t] = x[b, t - 1] + positions[t] for t = 1..n. `length` is n + 1. */
export function tokensKernel(vector: Vector): KernelSpec {
  const V = VECTOR_TYPE[vector];
  return {
    name: `patch.tokens.${V}`,
    bindings: [read("x", V), read("cls", V), read("positions", V), write("y", V)],
    uniforms: [
      ["count", "u32"],
      ["width", "u32"],
      ["length", "u32"],
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    aliases: { V },
    body: /* wgsl */ `${ELEMENT_WGSL}
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i >= u.count) { return; }
  let column = i % u.width;
  let row = i / u.width;
  let token = row % u.length;
  var value: V;
  if (token == 0u) {
    value = cls[column];
  } else {
    value = x[(row - row / u.length - 1u) * u.width + column]; // one class token in each image so far
  }
  y[i] = value + positions[token * u.width + column];
}`,
  };
}
