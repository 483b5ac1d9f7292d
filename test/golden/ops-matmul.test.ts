import { afterAll, beforeAll, expect, test } from "vitest";
import type { ActivationKind } from "../../src/kernels/activation/activation.wgsl.js";
import { type Layout, matmul } from "../../src/kernels/matmul/matmul.js";
import type { Device } from "../../src/runtime/device.js";
import { syntheticTensor } from "../../src/weights/synthetic.js";
import { goldenJson, goldenTensors, readI32 } from "../goldens.js";
import { nmse, runOp, testDevice, upload } from "../gpu/harness.js";

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
  const [out] = await runOp(device, (p) => {
    const bound = (name: string, shape: number[]) =>
      data.has(name) ? upload(p, name, shape, data.get(name)!) : undefined;
    return matmul(
      p,
      bound("a", [...batch, ...(layout === "tn" ? [k, m] : [m, k])])!,
      bound("b", [...batch_b, ...(layout === "nt" ? [n, k] : [k, n])])!,
      { label: "y", layout, activation: act, bias: bound("bias", [n]), residual: bound("residual", [...batch, m, n]) },
    );
  });
  if (c.sampled) {
    const index = await readI32(tensors, `${key}/out.sample_index`);
    const sample = await tensors.readF32(`${key}/out.sample`);
    expect(
      nmse(
        Array.from(index, (i) => out![i]!),
        sample,
      ),
    ).toBeLessThan(1e-9);
  } else {
    expect(nmse(out!, await tensors.readF32(`${key}/out`))).toBeLessThan(1e-9);
  }
});
