import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AttentionCase, attentionCases } from "../../src/kernels/attention/attention.cases.js";
import { type AttentionVariant, attention, chooseVariant, packedQkv } from "../../src/kernels/attention/attention.js";
import { attentionBackwardRef } from "../../src/kernels/attention/attention.ref.js";
import type { Dropout } from "../../src/kernels/dropout/dropout.js";
import { add } from "../../src/kernels/rows/rows.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { elementsOf, type Inputs, inputs, views, withMask } from "./attention-inputs.js";
import { leaf, nmse, runGradients, testDevice, upload, values } from "./harness.js";

const TOLERANCE = 1e-9;
let devices: { name: string; device: Device }[] = [];

beforeAll(async () => {
  devices = [
    { name: "raised limits", device: await testDevice() },
    { name: "default limits", device: await testDevice({ limits: "default" }) },
  ];
});
afterAll(() => {
  for (const { device } of devices) device.close();
});

const cotangent = (c: AttentionCase) => values(`${c.name}/dout`, c.batch * c.queries * c.heads * c.headSize);

type Grads = Map<ArrayLike<number>, ArrayLike<number>>;

/** The gradients of the matrices that hold q, k and v. */
async function compute(device: Device, c: AttentionCase, data: Inputs, variant: AttentionVariant): Promise<Grads> {
  const matrices: ArrayLike<number>[] = [];
  const [, ...grads] = await runGradients(device, cotangent(c), (p) => {
    const { q, k, v, tensors } = views(data, (x) => leaf(p, "x", [x.length], x));
    matrices.push(...tensors.keys());
    const keyLengths = c.keyLengths && upload(p, "lengths", [c.batch], c.keyLengths, "u32");
    return { y: attention(p, q, k, v, { ...c, keyLengths, label: c.name, variant }), leaves: [...tensors.values()] };
  });
  return new Map(matrices.map((matrix, i) => [matrix, grads[i]!]));
}

/** Compares dq, dk and dv one by one: together, the largest would hide the errors of the others. */
function expectClose(got: Grads, expected: Grads, c: AttentionCase, data: Inputs, hint: string): void {
  for (const of of ["q", "k", "v"] as const) {
    const view = data[of];
    const T = of === "q" ? c.queries : c.keys;
    const [a, b] = [got, expected].map((grads) => elementsOf(view, grads.get(view.data)!, T, c)) as [
      Float64Array,
      Float64Array,
    ];
    // Where there is one key only, dq and dk are zero; f32 leaves what dp - delta rounds to.
    expect(nmse(a, b), `${hint}, d${of}`).toBeLessThan(TOLERANCE);
  }
}

describe("the gradients of attention", () => {
  for (const c of attentionCases) {
    it(c.name, async () => {
      const data = inputs(c);
      const expected = attentionBackwardRef(data.q, data.k, data.v, cotangent(c), withMask(c));
      for (const { name, device } of devices) {
        const chosen = chooseVariant(c.headSize % 4 === 0, device);
        for (const variant of new Set([chosen, "tile"] as const)) {
          expectClose(await compute(device, c, data, variant), expected, c, data, `${name}, ${variant}`);
        }
      }
    });
  }

  it("are zero for keys that no query sees and for queries that see no key", async () => {
    const c = { ...attentionCases.find((x) => x.name === "causal with lengths")!, keyLengths: [0, 12, 7] };
    const data = inputs(c);
    const { q, k, v } = data;
    const expected = attentionBackwardRef(q, k, v, cotangent(c), c);
    for (const variant of new Set([chooseVariant(true, devices[0]!.device), "tile"] as const)) {
      const got = await compute(devices[0]!.device, c, data, variant);
      expectClose(got, expected, c, data, variant);
      for (const [view, T] of [[q, c.queries] as const, [k, c.keys] as const, [v, c.keys] as const]) {
        const all = elementsOf(view, got.get(view.data)!, T, c);
        expect(all.subarray(0, T * 24).every((x) => x === 0)).toBe(true);
        if (view !== q) expect(all.subarray((T + 12) * 24, 2 * T * 24).every((x) => x === 0)).toBe(true);
      }
    }
  });
});

describe("the backward of attention records", () => {
  const shape = { batch: 2, queries: 5, keys: 5, heads: 2, headSize: 8, causal: true, label: "a" };

  /** Dispatches of a backward pass through attention, by label and kernel. */
  function recorded(record: (p: Program) => void): string[] {
    const p = new Program(devices[0]!.device, "test");
    record(p);
    const list = p.dispatches.map((d) => `${d.label}: ${d.kernel.name}`);
    p.destroy();
    return list;
  }

  function separate(wanted: string, dropout?: Dropout): string[] {
    return recorded((p) => {
      const view = (name: string) => {
        const tensor = p.persistent(name, [10, 16], "f32", { requiresGrad: wanted.includes(name) });
        return { tensor, offset: 0, row: 16, batch: 80, head: 8 };
      };
      const y = attention(p, view("q"), view("k"), view("v"), { ...shape, dropout, variant: "tile" });
      p.backward(y, p.persistent("dy", [10, 16]));
    });
  }

  it("nothing for frozen tensors, whose forward keeps no statistics", () => {
    expect(separate("")).toEqual(["a: attention.tile.vec4f.d8"]);
  });

  it("only the gradients that are wanted", () => {
    const before = ["a: attention.tile.vec4f.d8.lse", "d a: attention.delta.vec4f"];
    expect(separate("v")).toEqual([...before, "d a.v: attention.dv.tile.vec4f.d8"]);
    expect(separate("qk")).toEqual([
      ...before,
      "d a.q: attention.dq.tile.vec4f.d8",
      "d a.k: attention.dk.tile.vec4f.d8",
    ]);
  });

  it("other kernels under dropout, but not at rate 0", () => {
    expect(separate("v", { rate: 0.1, seed: 1, site: 2 })).toEqual([
      "a: attention.tile.vec4f.d8.lse.drop",
      "d a: attention.delta.vec4f",
      "d a.v: attention.dv.tile.vec4f.d8.drop",
    ]);
    expect(separate("qkv", { rate: 0, seed: 1, site: 2 })).toEqual(separate("qkv"));
    expect(() => separate("v", { rate: 1, seed: 1, site: 2 })).toThrow("a: a dropout rate of 1 is not in [0, 1)");
  });

  it("one gradient for packed q, k and v inside a program, with no addition", () => {
    recorded((p) => {
      const x = p.persistent("x", [10, 48], "f32", { requiresGrad: true });
      const qkv = add(p, x, p.persistent("z", [10, 48]), { label: "qkv" });
      const y = attention(p, ...packedQkv(qkv, 2, 5, 2), { ...shape, variant: "tile" });
      const gradients = p.backward(y, p.persistent("dy", [10, 16]));
      const { storage } = gradients.get(qkv)!;
      const writers = p.dispatches.filter((d) => "dx" in d.tensors && (d.tensors.dx as Tensor).storage === storage);
      expect(writers.map((d) => d.label)).toEqual(["d a.q", "d a.k", "d a.v"]);
    });
  });

  it("refuses views that leave out some of a tensor that needs a gradient", () => {
    const record = (p: Program) => {
      const x = p.persistent("x", [10, 48], "f32", { requiresGrad: true });
      const [q, k] = packedQkv(x, 2, 5, 2);
      attention(p, q, k, k, { ...shape, queries: 4 });
    };
    expect(() => recorded(record)).toThrow(
      "a: q, k and v take 448 elements of test.x, which has 480; a gradient needs views that take each element once",
    );
  });
});

it("a value that two attentions use has the sum of their gradients", async () => {
  const { device } = devices[0]!;
  const c: AttentionCase = { ...attentionCases.find((x) => x.name === "three tokens")!, causal: false };
  const [{ q, k, v }, dout] = [inputs(c), cotangent(c)];
  const [, grad] = await runGradients(device, dout, (p) => {
    const x = leaf(p, "x", [3, 192], q.data as Float32Array);
    const qkv = add(p, x, upload(p, "zeros", [3, 192], new Float32Array(576)), { label: "qkv" });
    const views = packedQkv(qkv, 1, 3, 4);
    const causal = attention(p, ...views, { ...c, keyLengths: undefined, causal: true, label: "causal" });
    const full = attention(p, ...views, { ...c, keyLengths: undefined, label: "full" });
    return { y: add(p, causal, full, { label: "y" }), leaves: [x] };
  });
  const [a, b] = [true, false].map((causal) => attentionBackwardRef(q, k, v, dout, { ...c, causal }).get(q.data)!);
  expect(
    nmse(
      grad!,
      a!.map((value, i) => value + b![i]!),
    ),
  ).toBeLessThan(TOLERANCE);
});
