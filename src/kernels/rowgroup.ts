import type { Device } from "../runtime/device.js";
import type { KernelSpec } from "../runtime/kernel.js";
import { choose, type Tunable } from "./choice.js";

/**
 * How the invocations of a workgroup share one row and combine their partial results: by shuffles between the lanes of
 * a subgroup that is the whole workgroup (CPU adapters), or by a tree in workgroup memory.
 */
export interface RowGroup {
  readonly reduce: "lanes" | "shared";
  /** Invocations, a power of two. */
  readonly size: number;
}

/** All that may be chosen, for tests and for the check that every variant compiles. */
export const ROW_GROUPS: readonly RowGroup[] = [
  { reduce: "lanes", size: 8 },
  { reduce: "lanes", size: 4 },
  { reduce: "shared", size: 8 },
  { reduce: "shared", size: 64 },
  { reduce: "shared", size: 256 },
];

type Choosing = Pick<Device, "adapter" | "lanes"> & Tunable;

/** The group that was measured as the fastest for a class, such as "layernorm 1024", else the usual one. */
export function chooseRowGroup(device: Choosing, of = ""): RowGroup {
  return choose(device, of, rowGroupCandidates(device), rowGroupName);
}

/** The groups that this device can run, the usual one first. */
export function rowGroupCandidates(device: Choosing): RowGroup[] {
  const usual = usualRowGroup(device);
  return [usual, ...runnableRowGroups(device).filter((g) => rowGroupName(g) !== rowGroupName(usual))];
}

export function rowGroupName({ reduce, size }: RowGroup): string {
  return `${reduce}${size}`;
}

/**
 * On lavapipe layer norm of 50 x 768 takes 0.13 ms with lanes 8, as with one invocation per row, 0.16 with shared 8,
 * 0.35 with shared 64; of 5 x 768, 37, 45 and 65 us of which 25 are the dispatch.
 */
function usualRowGroup({ adapter, lanes }: Choosing): RowGroup {
  if (lanes > 0) return { reduce: "lanes", size: lanes };
  return { reduce: "shared", size: adapter.isCpu ? 8 : 64 };
}

/** The groups that this device can run. */
export function runnableRowGroups(device: Pick<Device, "lanes">): RowGroup[] {
  return ROW_GROUPS.filter((g) => g.reduce === "shared" || g.size === device.lanes);
}

/**
 * The group's share of a kernel. `sumOver(v, lane)` and `maxOver(v, lane)` return the result to every invocation and
 * must be called by all of them; a row's invocation `lane` takes the elements lane, lane + SIZE, ...
 */
export function rowGroupParts(group: RowGroup): {
  readonly suffix: string;
  readonly functions: string;
  readonly spec: Pick<KernelSpec, "workgroup" | "constants" | "enables">;
} {
  const { reduce, size } = group;
  return {
    suffix: rowGroupName(group),
    functions: reduce === "lanes" ? LANES_WGSL : SHARED_WGSL,
    spec: {
      workgroup: [size, 1, 1],
      constants: { SIZE: size },
      enables: reduce === "lanes" ? ["subgroups"] : [],
    },
  };
}

/** Entry point of a kernel with a workgroup per row, in a grid of `foldedGrid(rows)`; `u.rows` must be a uniform. */
export const ROW_ENTRY = /* wgsl */ `@compute fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= u.rows) { return; }
`;

// subgroupAdd takes 45 ns and 2.4 s to compile on lavapipe; three shuffles take next to nothing (docs/facts.md 11).
const LANES_WGSL = /* wgsl */ `
fn sumOver(v: f32, lane: u32) -> f32 {
  var s = v;
  if (SIZE == 8u) { s += subgroupShuffleXor(s, 4u); }
  s += subgroupShuffleXor(s, 2u);
  return s + subgroupShuffleXor(s, 1u);
}

fn maxOver(v: f32, lane: u32) -> f32 {
  var m = v;
  if (SIZE == 8u) { m = max(m, subgroupShuffleXor(m, 4u)); }
  m = max(m, subgroupShuffleXor(m, 2u));
  return max(m, subgroupShuffleXor(m, 1u));
}
`;

const SHARED_WGSL = /* wgsl */ `
var<workgroup> partial: array<f32, SIZE>;

fn sumOver(v: f32, lane: u32) -> f32 {
  partial[lane] = v;
  workgroupBarrier();
  for (var k = SIZE / 2u; k > 0u; k /= 2u) {
    if (lane < k) { partial[lane] += partial[lane + k]; }
    workgroupBarrier();
  }
  let s = partial[0];
  workgroupBarrier(); // before the next call writes
  return s;
}

fn maxOver(v: f32, lane: u32) -> f32 {
  partial[lane] = v;
  workgroupBarrier();
  for (var k = SIZE / 2u; k > 0u; k /= 2u) {
    if (lane < k) { partial[lane] = max(partial[lane], partial[lane + k]); }
    workgroupBarrier();
  }
  let m = partial[0];
  workgroupBarrier();
  return m;
}
`;
