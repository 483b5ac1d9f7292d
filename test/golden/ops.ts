import { expect } from "vitest";
import { syntheticTensor } from "../../src/weights/synthetic.js";
import { goldenJson, goldenTensors, readI32 } from "../goldens.js";
import { nmse } from "../gpu/harness.js";

/** One case of ops.json; "sampled" ones store 256 results and take their inputs from the value formula. */
export interface OpCase {
  readonly op: string;
  readonly case: string;
  readonly attrs: Readonly<Record<string, number>>;
  readonly sampled: boolean;
  readonly formula?: Readonly<
    Record<string, { readonly name: string; readonly shape: number[]; readonly std: number }>
  >;
}

const { seed, cases } = goldenJson<{ readonly seed: number; readonly cases: readonly OpCase[] }>("ops.json");
const tensors = await goldenTensors("ops.safetensors");

/** The cases of one operation as rows for `it.each`. @throws when there are none: such a test would prove nothing. */
export function opCases(op: string): (readonly [name: string, c: OpCase])[] {
  const found = cases.filter((c) => c.op === op);
  if (found.length === 0) throw new Error(`ops.json has no case of ${op}`);
  return found.map((c) => [c.case, c]);
}

export async function opInput(
  c: OpCase,
  name: string,
): Promise<{ readonly shape: number[]; readonly data: Float32Array }> {
  const f = c.formula?.[name];
  if (f) return { shape: f.shape, data: syntheticTensor(f.name, f.shape, seed, f.std) };
  const key = `${c.case}/${name}`;
  return { shape: [...tensors.tensors.get(key)!.shape], data: await tensors.readF32(key) };
}

export function opIds(c: OpCase, name: string): Promise<Int32Array> {
  return readI32(tensors, `${c.case}/${name}`);
}

/** A U8 tensor of a case, such as the mask of a dropout. */
export function opBytes(c: OpCase, name: string): Promise<Uint8Array> {
  return tensors.readBytes(`${c.case}/${name}`);
}

/** A whole stored result, such as `out` or `grad_x`. */
export function opStored(c: OpCase, name: string): Promise<Float32Array> {
  return tensors.readF32(`${c.case}/${name}`);
}

/** Compares every stored element of `out` (NMSE at most 1e-9). */
export async function expectOut(c: OpCase, got: ArrayLike<number>): Promise<void> {
  await expectStored(c, "out", got);
}

/** The same for `grad_<input>`; values below 1e-9 are zeros in theory and only have to be small. */
export async function expectGrad(c: OpCase, input: string, got: ArrayLike<number>): Promise<void> {
  await expectStored(c, `grad_${input}`, got);
}

async function expectStored(c: OpCase, name: string, got: ArrayLike<number>): Promise<void> {
  const key = `${c.case}/${name}`;
  const stored = (await tensors.readF32(c.sampled ? `${key}.sample` : key)).map((v) => (Math.abs(v) < 1e-9 ? 0 : v));
  const picked = c.sampled ? Array.from(await readI32(tensors, `${key}.sample_index`), (i) => got[i]!) : got;
  expect(nmse(picked, stored), name).toBeLessThanOrEqual(1e-9);
}
