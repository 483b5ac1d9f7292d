import type { Device } from "./device.js";
import { type KernelSpec, write } from "./kernel.js";
import { Program } from "./program.js";

/**
 * The lane kernels (docs/facts.md 11) need a workgroup of exactly one subgroup whose lanes are numbered as the invocations.
 * Drivers may differ from what they report, so the device computes both facts and a shuffle before it is believed.
 * Returns the lanes (4 or 8), or 0 where these kernels must not be used.
 */
export async function probeLanes(device: Device, info: GPUAdapterInfo): Promise<number> {
  const lanes = info.subgroupMinSize;
  if (lanes !== info.subgroupMaxSize || (lanes !== 4 && lanes !== 8)) return 0;
  const program = new Program(device, "probe lanes");
  const out = program.persistent("out", [lanes * 4], "u32");
  program.dispatch({
    kernel: probe(lanes),
    label: "lanes",
    tensors: { out },
    uniforms: { base: 0 },
    workgroups: [1, 1, 1],
  });
  await program.compile();
  program.run();
  const got = new Uint32Array(await device.read(out));
  program.destroy();
  for (let i = 0; i < lanes; i++) {
    const expected = [lanes, i, (i + 1) % lanes, lanes - 1];
    if (expected.some((value, k) => got[i * 4 + k] !== value)) return 0;
  }
  return lanes;
}

function probe(lanes: number): KernelSpec {
  return {
    name: `probe.lanes${lanes}`,
    bindings: [write("out", "u32")],
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
  out[local.x * 4u] = u.base + size;
  out[local.x * 4u + 1u] = lane;
  out[local.x * 4u + 2u] = subgroupShuffle(local.x, (lane + 1u) % LANES);
  out[local.x * 4u + 3u] = subgroupBroadcast(local.x, LANES - 1u);
}`,
  };
}
