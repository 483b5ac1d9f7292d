import { afterAll, beforeAll, expect, test } from "vitest";
import type { ActivationKind } from "../../src/kernels/activation/activation.wgsl.js";
import { matmul } from "../../src/kernels/matmul/matmul.js";
import type { Layout } from "../../src/kernels/matmul/matmul.wgsl.js";
import type { Device } from "../../src/runtime/device.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { syntheticTensor } from "../../src/weights/synthetic.js";
import { goldenJson, goldenTensors, readI32 } from "../goldens.js";
import { leaf, nmse, runGradients, testDevice } from "../gpu/harness.js";

interface Case {
  readonly op: string;
  readonly case: string;
  readonly inputs: readonly string[];
  readonly sampled: boolean;
  readonly formula?: Record<string, { name: string; shape: number[]; std: number }>;
  readonly attrs: {
    layout: Layout;
    m: number;
    k: number;
    n: number;
    act: ActivationKind;
    batch: number[];
    batch_b: number[];
  };
}

const { seed, cases: all } = goldenJson<{ seed: number; cases: Case[] }>("ops.json");
const cases = all.filter((c) => c.op === "matmul");
const tensors = await goldenTensors("ops.safetensors");
let device: Device;

beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

test("there are matmul goldens", () => expect(cases.length).toBeGreaterThan(60));

test.each(cases.map((c) => [c.case, c] as const))("%s", async (key, c) => {
  const { layout, m, k, n, act, batch, batch_b } = c.attrs;
  const input = async (name: string) => {
    const f = c.formula?.[name];
    return f ? syntheticTensor(f.name, f.shape, seed, f.std) : tensors.readF32(`${key}/${name}`);
  };
  const data = new Map<string, Float32Array>();
  for (const name of c.inputs) data.set(name, await input(name));
  const leaves = new Map<string, Tensor>();
  const cot = await input("cot");
  const results = await runGradients(device, cot, (p) => {
    const bound = (name: string, shape: number[]) => {
      if (data.has(name)) leaves.set(name, leaf(p, name, shape, data.get(name)!));
      return leaves.get(name);
    };
    const y = matmul(
      p,
      bound("a", [...batch, ...(layout === "tn" ? [k, m] : [m, k])])!,
      bound("b", [...batch_b, ...(layout === "nt" ? [n, k] : [k, n])])!,
      { label: "y", layout, activation: act, bias: bound("bias", [n]), residual: bound("residual", [...batch, m, n]) },
    );
    return { y, leaves: [...leaves.values()] };
  });
  for (const [i, name] of ["out", ...[...leaves.keys()].map((l) => `grad_${l}`)].entries()) {
    const got = results[i]!;
    if (c.sampled) {
      const index = await readI32(tensors, `${key}/${name}.sample_index`);
      const sample = await tensors.readF32(`${key}/${name}.sample`);
      expect(
        nmse(
          Array.from(index, (at) => got[at]!),
          sample,
        ),
        name,
      ).toBeLessThan(1e-9);
    } else {
      expect(nmse(got, await tensors.readF32(`${key}/${name}`)), name).toBeLessThan(1e-9);
    }
  }
});
