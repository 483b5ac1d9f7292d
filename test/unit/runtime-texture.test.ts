import { expect, it } from "vitest";
import { read, texture, write } from "../../src/runtime/kernel.js";
import type { Dispatch, Program } from "../../src/runtime/program.js";
import { Tensor } from "../../src/runtime/tensor.js";
import { fitsTexture, planCopies, textureSize } from "../../src/runtime/texture.js";

function transient(label: string, rows: number, columns: number): Tensor {
  const storage = { kind: "transient", program: {} as Program, bytes: 0, label, requiresGrad: false } as const;
  return new Tensor(label, [rows, columns], "f32", storage);
}

/** Of which only the identity of the buffer matters. */
function persistent(label: string, buffer: GPUBuffer): Tensor {
  const parts = [{ buffer, offset: 0, bytes: 1024, start: 0, end: 4 }];
  return new Tensor(label, [4, 64], "f32", { kind: "buffers", parts });
}

/** A dispatch that reads `a` through a texture, or as a buffer, and writes `out`. */
function dispatch(a: Tensor, out: Tensor, binding = texture("a")): Dispatch {
  const kernel = {
    name: "k",
    bindings: [binding, write("out")],
    uniforms: [],
    workgroup: [1, 1, 1],
    body: "",
  } as const;
  return { kernel, label: "k", tensors: { a, out }, uniforms: {}, workgroups: [1, 1, 1] };
}

const labels = (dispatches: readonly Dispatch[]) => planCopies(dispatches).map((t) => t?.label);

const [x, y, z] = [transient("x", 4, 64), transient("y", 4, 64), transient("z", 4, 64)];

it("copies a matrix once for neighbours that read it", () => {
  expect(labels([dispatch(x, y), dispatch(x, z)])).toEqual(["x", undefined]);
  expect(labels([dispatch(x, y), dispatch(z, y, read("a")), dispatch(x, z)])).toEqual(["x", undefined, undefined]);
});

it("copies it again when another was in the texture, when it was written, and under another shape", () => {
  expect(labels([dispatch(x, z), dispatch(y, z), dispatch(x, z)])).toEqual(["x", "y", "x"]);
  expect(labels([dispatch(x, y), dispatch(y, x, read("a")), dispatch(x, y)])).toEqual(["x", undefined, "x"]);
  expect(labels([dispatch(x, y), dispatch(x.reshape(2, 128), z)])).toEqual(["x", "x"]);
});

it("copies a persistent tensor again when another in its buffer was written", () => {
  const buffers = [{} as GPUBuffer, {} as GPUBuffer] as const;
  const [p, beside, elsewhere] = [0, 0, 1].map((i) => persistent(`p${i}`, buffers[i]!)) as [Tensor, Tensor, Tensor];
  expect(labels([dispatch(p, y), dispatch(p, elsewhere), dispatch(p, z)])).toEqual(["p0", undefined, undefined]);
  expect(labels([dispatch(p, beside), dispatch(p, z)])).toEqual(["p0", "p0"]);
});

it("needs no texture where nothing is read through one", () => {
  expect(textureSize([])).toBeUndefined();
  expect(labels([dispatch(x, y, read("a"))])).toEqual([undefined]);
});

it("is as wide and as high as the largest matrices, with rows that are no multiple of 4 KiB", () => {
  const [width, height] = textureSize([transient("wide", 3, 1024), transient("high", 50, 64)])!;
  expect(width).toBeGreaterThanOrEqual(256);
  expect((width * 16) % 4096).not.toBe(0);
  expect(height).toBe(50);
});

it("takes rows of whole 256 bytes, inside WebGPU's default limits", () => {
  expect(fitsTexture({ rows: 8192, columns: 64 })).toBe(true);
  expect(fitsTexture({ rows: 8193, columns: 64 })).toBe(false);
  expect(fitsTexture({ rows: 1, columns: 68 })).toBe(false);
  expect(fitsTexture({ rows: 1, columns: 4 * 8192 - 64 })).toBe(true);
  expect(fitsTexture({ rows: 1, columns: 4 * 8192 })).toBe(false);
});
