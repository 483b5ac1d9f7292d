import type { Device } from "../runtime/device.js";
import { type KernelSpec, read, write } from "../runtime/kernel.js";
import { Program } from "../runtime/program.js";
import { timed } from "./node-timing.js";
import { timeDispatches } from "./replay.js";

/** What this device can do at most, by measurement. */
export interface Peaks {
  /** f32 multiply-adds in registers, two operations each. */
  readonly gflops: number;
  /** The faster of a copy kernel and the queue's buffer copy; bytes read plus bytes written. */
  readonly gbs: number;
  readonly copy_kernel_gbs: number;
  readonly copy_buffer_gbs: number;
}

const ROUNDS = 4096;

/**
 * Eight independent chains (two vec4f) that fit the 16 registers of AVX2 with multiplier and addend; the constant loops
 * unroll, so that loop bookkeeping (5-9 ns a turn on lavapipe) is spread over 32 steps.
 */
const fmaKernel: KernelSpec = {
  name: "bench.fma",
  bindings: [write("y", "vec4f")],
  uniforms: [["rounds", "u32"]],
  workgroup: [64, 1, 1],
  body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) id: vec3u) {
  let m = vec4f(1.0 - f32(id.x % 7u) * 1e-6);
  let a = vec4f(f32(id.x) * 1e-6);
  var x = vec4f(0.0, 1.0, 2.0, 3.0);
  var z = vec4f(4.0, 5.0, 6.0, 7.0);
  for (var r = 0u; r < u.rounds; r += 32u) {
    for (var s = 0u; s < 32u; s++) {
      x = fma(x, m, a);
      z = fma(z, m, a);
    }
  }
  y[id.x] = x + z;
}`,
};

const copyKernel: KernelSpec = {
  name: "bench.copy",
  bindings: [read("x", "vec4f"), write("y", "vec4f")],
  uniforms: [["count", "u32"]],
  workgroup: [256, 1, 1],
  body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < u.count) { y[id.x] = x[id.x]; }
}`,
};

/** Measures both peaks in about a second. */
export async function measurePeaks(device: Device): Promise<Peaks> {
  const fma = await fmaPeak(device);
  const copies = await copyPeaks(device);
  return { gflops: fma, gbs: Math.max(...copies), copy_kernel_gbs: copies[0], copy_buffer_gbs: copies[1] };
}

async function fmaPeak(device: Device): Promise<number> {
  const groups = device.adapter.isCpu ? 64 : 4096;
  const p = new Program(device, "peak.fma");
  const y = p.transient("y", [groups * 64, 4]);
  p.dispatch({
    kernel: fmaKernel,
    label: "fma",
    tensors: { y },
    uniforms: { rounds: ROUNDS },
    workgroups: [groups, 1, 1],
  });
  try {
    await p.compile();
    await p.run();
    const { best } = await timeDispatches(p, [0], { runs: 25 });
    return (2 * 8 * ROUNDS * groups * 64) / best / 1e6;
  } finally {
    p.destroy();
  }
}

async function copyPeaks(device: Device): Promise<[kernel: number, buffer: number]> {
  const bytes = 64 * 2 ** 20; // beyond the caches of CPUs and GPUs
  const p = new Program(device, "peak.copy");
  const [x, y] = [p.persistent("x", [bytes / 16, 4]), p.persistent("y", [bytes / 16, 4])];
  const groups = bytes / 16 / 256;
  p.dispatch({
    kernel: copyKernel,
    label: "copy",
    tensors: { x, y },
    uniforms: { count: bytes / 16 },
    workgroups: [groups, 1, 1],
  });
  try {
    await p.compile();
    await p.run();
    const kernel = await timeDispatches(p, [0], { runs: 15 });
    const [from, to] = [x, y].map((t) => (t.storage.kind === "buffers" ? t.storage.parts[0]!.buffer : undefined));
    const buffer = await timed(async () => {
      const encoder = device.gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(from!, 0, to!, 0, bytes);
      device.gpu.queue.submit([encoder.finish()]);
      await device.idle();
    });
    return [(2 * bytes) / kernel.best / 1e6, (2 * bytes) / buffer.best / 1e6];
  } finally {
    p.destroy();
  }
}
