import { expect, it } from "vitest";
import type { Program } from "../../src/runtime/program.js";
import { Gradients } from "../../src/runtime/tape.js";
import { rowsOfTensor, Tensor } from "../../src/runtime/tensor.js";

const FIRST = { scalar: "accumulate" };
const program = { scalar: (scalar: string) => ({ scalar }) } as Program;

/** A trainable [rows, 64] table (256 bytes a row) at an offset of a buffer, of which only the identity matters. */
function table(rows: number, { offset = 0, buffers = [{} as GPUBuffer, {} as GPUBuffer], parts = 1 } = {}): Tensor {
  const make = (label: string, buffer: GPUBuffer, grad?: Tensor) => {
    const each = rows / parts;
    const list = Array.from({ length: parts }, (_, i) => {
      const start = i * each;
      return { buffer, offset: offset + start * 256, bytes: each * 256, start, end: start + each };
    });
    return new Tensor(label, [rows, 64], "f32", { kind: "buffers", parts: list, grad });
  };
  return make("wte", buffers[0]!, make("wte.grad", buffers[1]!));
}

const accumulate = (g: Gradients, t: Tensor) => g.target(t)!.accumulate;

it("adds to a gradient from its second contribution on", () => {
  const g = new Gradients(program);
  const [a, b] = [table(4), table(4)];
  expect([a, b, a, b, a.reshape(2, 128)].map((t) => accumulate(g, t))).toEqual([FIRST, FIRST, 1, 1, 1]);
});

it("begins each range of rows once, and then adds to the whole", () => {
  for (const parts of [1, 2]) {
    const g = new Gradients(program);
    const t = table(8, { parts });
    const slices = [rowsOfTensor(t, 0, 3), rowsOfTensor(t, 4, 8), rowsOfTensor(t, 3, 4), rowsOfTensor(t, 4, 8)];
    expect(slices.map((s) => accumulate(g, s))).toEqual([FIRST, FIRST, FIRST, 1]);
    expect([t, rowsOfTensor(t, 1, 2)].map((s) => accumulate(g, s))).toEqual([1, 1]);
  }
});

it("adds rows to a whole that began before", () => {
  const g = new Gradients(program);
  const t = table(8);
  expect([t, rowsOfTensor(t, 0, 4)].map((s) => accumulate(g, s))).toEqual([FIRST, 1]);
});

it("refuses a whole of which only some rows began", () => {
  const g = new Gradients(program);
  const t = table(8);
  g.target(rowsOfTensor(t, 2, 4));
  expect(() => g.target(t)).toThrow("wte.grad: only some of its rows have a contribution");
});

it("keeps parameters of one buffer apart", () => {
  const g = new Gradients(program);
  const buffers = [{} as GPUBuffer, {} as GPUBuffer];
  const [a, b] = [table(4, { buffers }), table(4, { buffers, offset: 1024 })];
  expect([a, b, a].map((t) => accumulate(g, t))).toEqual([FIRST, FIRST, 1]);
});

it("has no target for a frozen tensor", () => {
  const frozen = new Tensor("wte", [1], "f32", { kind: "buffers", parts: [] });
  expect(new Gradients(program).target(frozen)).toBeUndefined();
});

it("refuses a computed value that needs a gradient where only a parameter can stand", () => {
  const g = new Gradients(program);
  const value = (requiresGrad: boolean) =>
    new Tensor("scale", [64], "f32", { kind: "transient", program, bytes: 256, label: "scale", requiresGrad });
  expect(() => g.parameter(value(true))).toThrow("scale must be a parameter");
  expect(g.parameter(value(false))).toBeUndefined();
  expect(g.parameter(table(4))).toMatchObject({ accumulate: FIRST });
});
