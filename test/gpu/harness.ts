import { expect } from "vitest";
import { type NodeDeviceOptions, openDevice } from "../../src/node.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { type DType, elements, type Part, rowBytes, Tensor } from "../../src/runtime/tensor.js";

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
  options: { readonly requiresGrad?: boolean } = {},
): Tensor {
  const tensor = program.persistent(label, shape, dtype, options);
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
      expect(firstDifference(a, second[i]!), `${outputs[i]!.label} differs between two runs at`).toBe(-1);
    });
    return first;
  } finally {
    program.destroy();
  }
}

/** A leaf of a gradient test: an uploaded tensor that asks for its gradient. */
export function leaf(program: Program, label: string, shape: readonly number[], data: Float32Array): Tensor {
  return upload(program, label, shape, data, "f32", { requiresGrad: true });
}

/** The same buffers as a tensor whose rows from `at` on are a part of their own, as a binding limit would have it. */
export function split(t: Tensor, at: number): Tensor {
  if (t.storage.kind !== "buffers") throw new Error(`${t.label} is not persistent`);
  const [whole] = t.storage.parts;
  const perRow = rowBytes(t.dtype, t.shape);
  const part = (start: number, end: number): Part => {
    return { buffer: whole!.buffer, offset: start * perRow, bytes: (end - start) * perRow, start, end };
  };
  const grad = t.storage.grad && split(t.storage.grad, at);
  return new Tensor(t.label, t.shape, t.dtype, { kind: "buffers", parts: [part(0, at), part(at, t.rows)], grad });
}

/**
 * Records y with `record`, then its backward pass for the cotangent, on poisoned memory; returns y and the gradients of
 * the leaves. Fails when two runs differ in a bit, a dispatch writes outside its values, or `accumulate` does not add.
 */
export async function runGradients(
  device: Device,
  cotangent: Float32Array,
  record: (program: Program) => { readonly y: Tensor; readonly leaves: readonly Tensor[] },
): Promise<Float32Array[]> {
  const program = new Program(device, "test");
  try {
    const { y, leaves } = record(program);
    program.keep(y);
    program.backward(y, upload(program, "dy", y.shape, cotangent));
    const grads = leaves.map(gradOf);
    await program.compile({ guardBytes: GUARD_BYTES });
    for (const grad of grads) device.write(grad, new Uint32Array(grad.size).fill(POISON));
    const run = async (accumulate: number) => {
      poison(program);
      const value = await program.run({ accumulate }, [y]).f32();
      await checkGuards(program);
      return [value, ...(await Promise.all(grads.map(async (g) => new Float32Array(await device.read(g)))))];
    };
    const [first, second, twice] = [await run(0), await run(0), await run(1)];
    for (const [i, name] of [y, ...leaves].entries()) {
      expect(firstDifference(first[i]!, second[i]!), `${name.label} differs between two runs at`).toBe(-1);
      if (i > 0)
        expect(
          nmse(
            twice[i]!,
            first[i]!.map((v) => 2 * v),
          ),
          `${name.label} accumulated`,
        ).toBeLessThan(1e-12);
    }
    return first;
  } finally {
    program.destroy();
  }
}

function gradOf(t: Tensor): Tensor {
  if (t.storage.kind !== "buffers" || !t.storage.grad) throw new Error(`${t.label} is no leaf`);
  return t.storage.grad;
}

/** Central differences of sum(cotangent * f(x)) in f64: the check of a reference's own backward. */
export function finiteDifferences(
  f: (x: Float64Array) => ArrayLike<number>,
  x: ArrayLike<number>,
  cotangent: ArrayLike<number>,
  h = 1e-5,
): Float64Array {
  const at = Float64Array.from(x);
  const loss = () => {
    const y = f(at);
    let sum = 0;
    for (let i = 0; i < y.length; i++) sum += y[i]! * cotangent[i]!;
    return sum;
  };
  return at.map((v, i) => {
    at[i] = v + h;
    const up = loss();
    at[i] = v - h;
    const down = loss();
    at[i] = v;
    return (up - down) / (2 * h);
  });
}

/** Index of the first element whose bits differ, or -1. (A matcher would take minutes over a token embedding.) */
function firstDifference(a: Float32Array | Uint32Array, b: Float32Array | Uint32Array): number {
  const [x, y] = [a, b].map((v) => new Uint32Array(v.buffer, v.byteOffset, v.length)) as [Uint32Array, Uint32Array];
  return x.findIndex((bits, i) => bits !== y[i]);
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
