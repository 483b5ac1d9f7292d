import { attention, packedQkv } from "../kernels/attention/attention.js";
import { attentionRef } from "../kernels/attention/attention.ref.js";
import { layerNorm } from "../kernels/layernorm/layernorm.js";
import { layerNormRef } from "../kernels/layernorm/layernorm.ref.js";
import { linear } from "../kernels/matmul/matmul.js";
import { matmulRef } from "../kernels/matmul/matmul.ref.js";
import type { Device } from "../runtime/device.js";
import { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";

/** One operation on the device against plain arithmetic in f64. */
export interface SelfTest {
  readonly op: string;
  /** Sum of squared differences over sum of squares. */
  readonly error: number;
  readonly ok: boolean;
}

/** f32 gives 1e-14 to 1e-12 here; a wrong kernel or driver is off by more than 1e-2. */
const MAX_ERROR = 1e-9;

const [B, T, C, H] = [2, 10, 64, 4];

/** Runs the three operations that a caption mostly consists of. */
export async function selfTest(device: Device): Promise<SelfTest[]> {
  const p = new Program(device, "self-test");
  try {
    const input = (label: string, shape: readonly number[], seed: number) => {
      const data = noise(
        shape.reduce((a, b) => a * b, 1),
        seed,
      );
      const tensor = p.persistent(label, shape);
      device.write(tensor, data);
      return { tensor, data };
    };
    const x = input("x", [B * T, C], 1);
    const weight = input("weight", [3 * C, C], 2);
    const bias = input("bias", [3 * C], 3);
    const gain = input("gain", [C], 4);
    const shift = input("shift", [C], 5);
    const packed = input("qkv", [B * T, 3 * C], 6);

    const product = linear(p, x.tensor, weight.tensor, { label: "matmul", bias: bias.tensor });
    const norm = layerNorm(p, x.tensor, gain.tensor, shift.tensor, { label: "layer norm", eps: 1e-5 });
    const shape = { batch: B, queries: T, keys: T, heads: H, headSize: C / H, causal: true };
    const [q, k, v] = packedQkv(packed.tensor, B, T, H);
    const attended = attention(p, q, k, v, { ...shape, label: "attention" });

    const view = ({ offset }: { offset: number }) => ({ ...q, offset, data: packed.data });
    return await compare(p, [
      [product, matmulRef(x.data, weight.data, { layout: "nt", M: B * T, K: C, N: 3 * C }, { bias: bias.data })],
      [norm, layerNormRef(x.data, gain.data, shift.data, 1e-5)],
      [attended, attentionRef(view(q), view(k), view(v), shape)],
    ]);
  } finally {
    p.destroy();
  }
}

async function compare(p: Program, pairs: readonly (readonly [Tensor, Float64Array])[]): Promise<SelfTest[]> {
  const tensors = pairs.map(([tensor]) => tensor);
  p.keep(...tensors);
  await p.compile();
  const results = await p.run({}, tensors).get();
  return pairs.map(([{ label }, expected], i) => {
    const difference = expected.map((e, j) => results[i]![j]! - e);
    const error = power(difference) / power(expected);
    return { op: label, error, ok: error <= MAX_ERROR };
  });
}

function power(values: Float64Array): number {
  return values.reduce((sum, x) => sum + x * x, 0);
}

/** Values in (-1, 1) that are the same everywhere: a multiplicative congruential generator (Park and Miller). */
function noise(count: number, seed: number): Float32Array {
  let state = seed * 7919;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return (2 * state) / 2_147_483_647 - 1;
  });
}
