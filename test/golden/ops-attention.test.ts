import { afterAll, beforeAll, expect, it } from "vitest";
import { attention, type HeadsView } from "../../src/kernels/attention/attention.js";
import type { Device } from "../../src/runtime/device.js";
import type { Program } from "../../src/runtime/program.js";
import { goldenJson, goldenTensors, readI32 } from "../goldens.js";
import { leaf, nmse, runGradients, testDevice, upload } from "../gpu/harness.js";

interface GoldenCase {
  readonly op: string;
  readonly case: string;
  readonly attrs: { readonly causal: boolean; readonly scale: number; readonly key_lengths: readonly number[] | null };
  readonly sampled: boolean;
}

const cases = goldenJson<{ cases: readonly GoldenCase[] }>("ops.json").cases.filter((c) => c.op === "attention");
const names = [...new Set(cases.map((c) => c.case))];
let device: Device;

beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.close());

it("the goldens hold attention cases with stored inputs", () => {
  expect(names.length).toBeGreaterThan(0);
  expect(cases.filter((c) => c.sampled)).toEqual([]);
});

/** Heads of a [B, H, T, D] tensor. */
function heads(p: Program, name: string, shape: readonly number[], data: Float32Array): HeadsView {
  const [, H, T, D] = shape as [number, number, number, number];
  return { tensor: leaf(p, name, shape, data), offset: 0, row: D, batch: H * T * D, head: T * D };
}

/** [B, H, T, D] to [B*T, H*D]. */
function rowsOfHeads(x: Float32Array, [, H, T, D]: readonly number[]): Float32Array {
  return Float32Array.from({ length: x.length }, (_, i) => {
    const [d, h, t, b] = [
      i % D!,
      Math.floor(i / D!) % H!,
      Math.floor(i / (D! * H!)) % T!,
      Math.floor(i / (D! * H! * T!)),
    ];
    return x[((b * H! + h) * T! + t) * D! + d]!;
  });
}

for (const name of names) {
  it(name, async () => {
    const { attrs } = cases.find((c) => c.case === name)!;
    const file = await goldenTensors("ops.safetensors");
    const shape = (input: string) => file.tensors.get(`${name}/${input}`)!.shape as [number, number, number, number];
    const load = (input: string) => file.readF32(`${name}/${input}`);
    const [q, k, v] = await Promise.all([load("q"), load("k"), load("v")]);
    const lengths = attrs.key_lengths && Uint32Array.from(await readI32(file, `${name}/key_lengths`));
    const [batch, H, queries, headSize] = shape("q");
    const keys = shape("k")[2];
    expect(attrs.scale).toBeCloseTo(1 / Math.sqrt(headSize), 12);
    const dout = rowsOfHeads(await load("cot"), shape("q"));
    const [out, ...grads] = await runGradients(device, dout, (p) => {
      const views = [heads(p, "q", shape("q"), q), heads(p, "k", shape("k"), k), heads(p, "v", shape("v"), v)] as const;
      const y = attention(p, ...views, {
        batch,
        queries,
        keys,
        heads: H,
        headSize,
        causal: attrs.causal,
        keyLengths: lengths ? upload(p, "lengths", [batch], lengths, "u32") : undefined,
        label: name,
      });
      return { y, leaves: views.map((x) => x.tensor) };
    });
    expect(nmse(out!, rowsOfHeads(await load("out"), shape("q")))).toBeLessThan(1e-9);
    for (const [i, input] of ["q", "k", "v"].entries()) {
      expect(nmse(grads[i]!, await load(`grad_${input}`)), `d${input}`).toBeLessThan(1e-9);
    }
  });
}
