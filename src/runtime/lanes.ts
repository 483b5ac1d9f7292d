import type { Device } from "./device.js";
import { ClipCapError } from "./errors.js";
import { type KernelSpec, texture, write } from "./kernel.js";
import { Program } from "./program.js";

/** Lanes of a subgroup (4 or 8), 0 where the lane kernels must not be used, and whether they may read through textures. */
export interface Lanes {
  readonly lanes: number;
  readonly textures: boolean;
}

const NONE: Lanes = { lanes: 0, textures: false };
/** Columns of the matrix that is read through a texture. */
const COLUMNS = 64;

/**
 * The lane kernels (docs/facts.md 11) need a workgroup of exactly one subgroup whose lanes are numbered as the invocations.
 * Drivers may differ from what they report, so the device computes both facts, a shuffle, and where `readable` says that
 * storage textures can be read a load from one, before it is believed.
 */
export async function probeLanes(device: Device, info: GPUAdapterInfo, readable: boolean): Promise<Lanes> {
  const lanes = info.subgroupMinSize;
  if (lanes !== info.subgroupMaxSize || (lanes !== 4 && lanes !== 8)) return NONE;
  const program = new Program(device, "probe lanes");
  const a = program.persistent("a", [lanes, COLUMNS]);
  const out = program.persistent("out", [lanes * 5], "u32");
  device.write(
    a,
    Float32Array.from({ length: a.size }, (_, i) => i),
  );
  program.dispatch({
    kernel: probe(lanes, readable),
    label: "lanes",
    tensors: { out, a },
    uniforms: { base: 0 },
    workgroups: [1, 1, 1],
  });
  try {
    await program.compile();
  } catch (error) {
    if (error instanceof ClipCapError && error.code === "validation") return NONE; // destroyed already
    throw error;
  }
  program.run();
  const got = new Uint32Array(await device.read(out));
  program.destroy();
  const each = Array.from({ length: lanes }, (_, i) => i);
  const agrees = (k: number, expected: (lane: number) => number) => each.every((i) => got[i * 5 + k] === expected(i));
  const proved = [() => lanes, (i: number) => i, (i: number) => (i + 1) % lanes, () => lanes - 1].every((expected, k) =>
    agrees(k, expected),
  );
  return proved ? { lanes, textures: readable && agrees(4, (i) => i * COLUMNS + 7) } : NONE;
}

function probe(lanes: number, textures: boolean): KernelSpec {
  return {
    name: `probe.lanes${lanes}${textures ? ".texture" : ""}`,
    bindings: textures ? [write("out", "u32"), texture("a")] : [write("out", "u32")],
    uniforms: [["base", "u32"]],
    constants: { LANES: lanes },
    workgroup: [lanes, 1, 1],
    enables: ["subgroups"],
    body: /* wgsl */ `
@compute fn main(
  @builtin(local_invocation_id) local: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
  @builtin(subgroup_size) size: u32,
) {
  out[local.x * 5u] = u.base + size;
  out[local.x * 5u + 1u] = lane;
  out[local.x * 5u + 2u] = subgroupShuffle(local.x, (lane + 1u) % LANES);
  out[local.x * 5u + 3u] = subgroupBroadcast(local.x, LANES - 1u);
  out[local.x * 5u + 4u] = ${textures ? "u32(textureLoad(a, vec2u(1u, local.x)).w)" : "0u"};
}`,
  };
}
