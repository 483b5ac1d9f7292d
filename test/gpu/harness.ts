import { expect } from "vitest";
import { type NodeDeviceOptions, openDevice } from "../../src/node.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { type DType, elements, type Tensor } from "../../src/runtime/tensor.js";

/** A quiet NaN that no kernel produces by itself. */
const POISON = 0x7fc0dead;
const GUARD_BYTES = 256;

/** A device for a test file. Without an adapter the test fails. */
export function testDevice(options: NodeDeviceOptions = {}): Promise<Device> {
  return openDevice(options);
}

/** Uploads values as a persistent tensor of the program. */
export function upload(
  program: Program,
  label: string,
  shape: readonly number[],
  data: Float32Array | Uint32Array | readonly number[],
  dtype: DType = "f32",
): Tensor {
  const tensor = program.persistent(label, shape, dtype);
  const values = Array.isArray(data) ? (dtype === "u32" ? Uint32Array.from(data) : Float32Array.from(data)) : data;
  if (values.length !== elements(shape)) throw new Error(`${label}: ${values.length} values for [${shape}]`);
  program.device.write(tensor, values as Float32Array);
  return tensor;
}

/**
 * Records with `record`, runs twice on poisoned memory and returns the outputs. Fails when the runs differ in a bit,
 * or when a dispatch wrote outside its values.
 */
export async function runOp(
  device: Device,
  record: (program: Program) => Tensor | readonly Tensor[],
): Promise<(Float32Array | Uint32Array)[]> {
  const program = new Program(device, "test");
  try {
    const made = record(program);
    const outputs = Array.isArray(made) ? (made as readonly Tensor[]) : [made as Tensor];
    program.keep(...outputs);
    await program.compile({ guardBytes: GUARD_BYTES });
    poison(program);
    const first = await program.run({}, outputs).get();
    await checkGuards(program);
    poison(program);
    const second = await program.run({}, outputs).get();
    first.forEach((a, i) => {
      expect(bits(second[i]!), `${outputs[i]!.label} differs between two runs`).toEqual(bits(a));
    });
    return first;
  } finally {
    program.destroy();
  }
}

function bits(a: Float32Array | Uint32Array): Uint32Array {
  return new Uint32Array(a.buffer, a.byteOffset, a.length);
}

function poison(program: Program): void {
  for (const arena of program.layout().arenas) {
    program.device.gpu.queue.writeBuffer(arena, 0, new Uint32Array(arena.size / 4).fill(POISON));
  }
}

async function checkGuards(program: Program): Promise<void> {
  const { arenas, values } = program.layout();
  for (const [i, arena] of arenas.entries()) {
    const staging = program.device.takeStaging(arena.size);
    const encoder = program.device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(arena, 0, staging, 0, arena.size);
    program.device.gpu.queue.submit([encoder.finish()]);
    const words = new Uint32Array(await program.device.mapStaging(staging, arena.size));
    for (const { tensor, arena: at, offset } of values) {
      if (at !== i || tensor.storage.kind !== "transient") continue;
      const end = (offset + tensor.storage.bytes) / 4;
      const guard = words.subarray(end, end + GUARD_BYTES / 4);
      const written = guard.findIndex((w) => w !== POISON);
      expect(written, `a kernel wrote ${written * 4} bytes behind ${tensor.label} [${tensor.shape}]`).toBe(-1);
    }
  }
}

/** Sum of squared errors over sum of squares; every element must also be finite where the reference is. */
export function nmse(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(got.length).toBe(expected.length);
  let error = 0;
  let power = 0;
  for (let i = 0; i < expected.length; i++) {
    const d = got[i]! - expected[i]!;
    if (!Number.isFinite(d)) throw new Error(`element ${i}: ${got[i]}, expected ${expected[i]}`);
    error += d * d;
    power += expected[i]! * expected[i]!;
  }
  return power === 0 ? error : error / power;
}

/** Deterministic values in (-scale, scale); a test's data depend on nothing but its name. */
export function values(name: string, count: number, scale = 1): Float32Array {
  let h = 0x811c9dc5;
  for (const c of name) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193) >>> 0;
  return Float32Array.from({ length: count }, (_, i) => {
    let x = (Math.imul(i, 0x9e3779b1) + h) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0;
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0;
    x = (x ^ (x >>> 16)) >>> 0;
    return ((2 * x) / 4294967296 - 1) * scale;
  });
}
