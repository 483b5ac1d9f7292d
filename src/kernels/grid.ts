import type { Device } from "../runtime/device.js";

/** Invocations per workgroup of element-wise kernels; on lavapipe 256 is 10 % faster than 64 for large tensors only. */
export const ELEMENTS_PER_GROUP = 64;

/**
 * Workgroups [x, y, 1] of a one-dimensional grid that may exceed the limit per dimension (65,535 by default).
 * The kernel's index is `workgroup_id.y * num_workgroups.x + workgroup_id.x`; it must ignore those beyond the end.
 */
export function foldedGrid(groups: number, device: Device): [number, number, number] {
  const most = device.limits.maxWorkgroupsPerDimension;
  if (groups <= most) return [Math.max(1, groups), 1, 1];
  const y = Math.ceil(groups / most);
  return [Math.ceil(groups / y), y, 1];
}

/** Grid of one invocation per element, in workgroups of ELEMENTS_PER_GROUP; `ELEMENT_WGSL` gives the index. */
export function elementGrid(count: number, device: Device): [number, number, number] {
  return foldedGrid(Math.ceil(count / ELEMENTS_PER_GROUP), device);
}

/** `element(id, groups)`: the index of an invocation in a folded grid of workgroups of `size`. */
export function elementWgsl(size: number): string {
  return /* wgsl */ `
fn element(id: vec3u, groups: vec3u) -> u32 {
  return id.y * groups.x * ${size}u + id.x;
}
`;
}

export const ELEMENT_WGSL = elementWgsl(ELEMENTS_PER_GROUP);

/** Elements that one load takes: 4 (vec4f) where rows keep the 16-byte alignment, else 1. */
export type Vector = 4 | 1;

export function vectorOf(...lengths: readonly number[]): Vector {
  return lengths.every((n) => n % 4 === 0) ? 4 : 1;
}

export const VECTOR_TYPE: Readonly<Record<Vector, "vec4f" | "f32">> = { 4: "vec4f", 1: "f32" };
