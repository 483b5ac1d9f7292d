/**
 * Workgroups [x, y, 1] of a one-dimensional grid that may exceed the limit per dimension (65,535 by default).
 * The kernel's index is `workgroup_id.y * num_workgroups.x + workgroup_id.x`; it must ignore those beyond the end.
 */
export function foldedGrid(groups: number, most: number): [number, number, number] {
  if (groups <= most) return [Math.max(1, groups), 1, 1];
  const y = Math.ceil(groups / most);
  return [Math.ceil(groups / y), y, 1];
}
