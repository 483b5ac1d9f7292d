import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type AttentionCase,
  attentionCases,
  type CachedAttentionCase,
  cachedAttentionCases,
} from "../../src/kernels/attention/attention.cases.js";
import {
  type AttentionVariant,
  attention,
  type CachedVariant,
  cachedAttention,
  chooseVariant,
  type KvCache,
  packedQkv,
  storeKv,
} from "../../src/kernels/attention/attention.js";
import { attentionRef, cachedAttentionRef, type HeadsData } from "../../src/kernels/attention/attention.ref.js";
import type { Device } from "../../src/runtime/device.js";
import { flopsOf, Program } from "../../src/runtime/program.js";
import { inputs, views, withMask } from "./attention-inputs.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

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

async function compute(device: Device, c: AttentionCase, variant?: AttentionVariant): Promise<ArrayLike<number>> {
  const data = inputs(c);
  const [out] = await runOp(device, (p) => {
    const { q, k, v } = views(data, (x) => upload(p, "x", [x.length], x));
    const keyLengths = c.keyLengths && upload(p, "lengths", [c.batch], c.keyLengths, "u32");
    return attention(p, q, k, v, { ...c, keyLengths, label: c.name, variant });
  });
  return out!;
}

function cacheInputs(c: CachedAttentionCase) {
  const C = c.heads * c.headSize;
  const fill = (name: string, count: number) => values(`${c.name}/${name}`, count, c.amplitude ?? 1.7);
  return {
    qkv: fill("qkv", c.rows * c.tokens * 3 * C),
    k: fill("k", c.rows * c.capacity * C),
    v: fill("v", c.rows * c.capacity * C),
    // Every position of every row comes from some other row.
    ancestry: Uint32Array.from(values(`${c.name}/a`, c.rows * c.capacity), (x) => Math.floor(((x + 1) / 2) * c.rows)),
  };
}

async function computeCached(device: Device, c: CachedAttentionCase, variant?: CachedVariant) {
  const { qkv, k, v, ancestry } = cacheInputs(c);
  const C = c.heads * c.headSize;
  const [out] = await runOp(device, (p) => {
    const cache: KvCache = {
      k: upload(p, "k", [c.rows, c.capacity, C], k),
      v: upload(p, "v", [c.rows, c.capacity, C], v),
      rows: c.rows,
      capacity: c.capacity,
    };
    const x = upload(p, "qkv", [c.rows * c.tokens, 3 * C], qkv);
    const a = upload(p, "ancestry", [c.rows, c.capacity], ancestry, "u32");
    return cachedAttention(p, x, cache, a, { ...c, label: c.name, variant });
  });
  return out!;
}

describe("attention", () => {
  for (const c of attentionCases) {
    it(c.name, async () => {
      const data = inputs(c);
      const expected = attentionRef(data.q, data.k, data.v, withMask(c));
      for (const { name, device } of devices) {
        const chosen = chooseVariant(c.headSize % 4 === 0, device);
        for (const variant of new Set([chosen, "tile"] as const)) {
          expect(nmse(await compute(device, c, variant), expected), `${name}, ${variant}`).toBeLessThan(TOLERANCE);
        }
      }
    });
  }

  it("takes lanes only where the device has them and all strides are whole vectors", () => {
    expect(chooseVariant(true, { lanes: 8 })).toBe("lanes");
    expect(chooseVariant(true, { lanes: 0 })).toBe("tile");
    expect(chooseVariant(false, { lanes: 8 })).toBe("tile");
  });

  it("counts the arithmetic of the pairs that are seen, against a cache by the run's keys", () => {
    const { device } = devices[0]!;
    const p = new Program(device, "counted");
    const [B, T, H, D] = [2, 5, 3, 8];
    const view = packedQkv(p.persistent("qkv", [B * T, 3 * H * D]), B, T, H);
    const o = { batch: B, queries: T, keys: T, heads: H, headSize: D, label: "seen" };
    attention(p, ...view, { ...o, causal: false });
    attention(p, ...view, { ...o, causal: true });
    const [k, v] = [p.persistent("k", [B, 16, H * D]), p.persistent("v", [B, 16, H * D])];
    const ancestry = p.persistent("ancestry", [B, 16], "u32");
    const c = { rows: B, tokens: 2, heads: H, headSize: D, keys: p.scalar("keys"), label: "cached" };
    cachedAttention(p, p.persistent("x", [2 * B, 3 * H * D]), { k, v, rows: B, capacity: 16 }, ancestry, c);
    const pairs = [25, 15, 9 + 10]; // two new tokens that see 9 and 10 keys
    expect(p.dispatches.map((d) => flopsOf(d, { keys: 10 }))).toEqual(pairs.map((n) => 4 * B * H * D * n));
    p.destroy();
  });

  it("refuses heads that do not fit in workgroup memory", () => {
    const { device } = devices[0]!;
    const p = new Program(device, "test");
    const [q, k, v] = packedQkv(p.persistent("qkv", [1, 3 * 244]), 1, 1, 1);
    const shape = { batch: 1, queries: 1, keys: 1, heads: 1, causal: false, label: "wide" };
    expect(() => attention(p, q, k, v, { ...shape, headSize: 244 })).toThrow(
      "wide: heads of size 244; this kernel takes 1 to 240, use more heads for the same width",
    );
    p.destroy();
  });

  it("refuses a view that reaches beyond its tensor", () => {
    const { device } = devices[0]!;
    const p = new Program(device, "test");
    const [q, k, v] = packedQkv(p.persistent("qkv", [4, 48]), 1, 4, 2);
    const shape = { batch: 1, heads: 2, headSize: 8, causal: false, label: "short" };
    expect(() => attention(p, q, k, v, { ...shape, queries: 4, keys: 5 })).toThrow(
      "short: k reaches element 224 of test.qkv, which has 192; check its strides",
    );
    p.destroy();
  });
});

describe("attention on a cache", () => {
  for (const c of cachedAttentionCases) {
    it(c.name, async () => {
      const { qkv, k, v, ancestry } = cacheInputs(c);
      const expected = cachedAttentionRef(qkv, k, v, ancestry, c);
      for (const { name, device } of devices) {
        for (const variant of [undefined, "group"] as const) {
          expect(nmse(await computeCached(device, c, variant), expected), `${name}, ${variant}`).toBeLessThan(
            TOLERANCE,
          );
        }
      }
    });
  }

  for (const heads of [3, 4]) {
    it(`stores what later tokens read: prompt then tokens one by one, H = ${heads}`, async () => {
      await decodesAsAtOnce(devices[0]!.device, { B: 2, T: 9, prompt: 5, H: heads, D: heads === 3 ? 5 : 16 });
    });
  }
});

/** A prompt and then single tokens through the cache give what one causal attention over all tokens gives. */
async function decodesAsAtOnce(device: Device, s: { B: number; T: number; prompt: number; H: number; D: number }) {
  const { B, T, prompt, H, D } = s;
  const C = H * D;
  const all = values("qkv", B * T * 3 * C, 1.5);
  const view = (i: number): HeadsData => ({ data: all, offset: i * C, row: 3 * C, batch: T * 3 * C, head: D });
  const shape = { batch: B, queries: T, keys: T, heads: H, headSize: D, causal: true };
  const expected = attentionRef(view(0), view(1), view(2), shape);

  const beams = 2; // sequence b owns rows 2b and 2b + 1; only the first is filled, ancestry points there
  const rows = B * beams;
  const p = new Program(device, "prompt");
  const make = (name: string) => upload(p, name, [rows, T, C], new Float32Array(rows * T * C).fill(9));
  const cache: KvCache = { k: make("k"), v: make("v"), rows, capacity: T };
  const tokensOf = (first: number, count: number) =>
    Float32Array.from({ length: B * count * 3 * C }, (_, i) => {
      const [b, rest] = [Math.floor(i / (count * 3 * C)), i % (count * 3 * C)];
      return all[(b * T + first) * 3 * C + rest]!;
    });
  const start = upload(p, "start", [B * prompt, 3 * C], tokensOf(0, prompt));
  storeKv(p, start, cache, { batch: B, tokens: prompt, width: C, rowStride: beams, start: 0, label: "store" });
  await p.compile();
  p.run();

  const step = new Program(device, "step");
  const x = step.persistent("x", [B, 3 * C]);
  const ancestry = upload(
    step,
    "ancestry",
    [B, T],
    Array.from({ length: B * T }, (_, i) => Math.floor(i / T) * beams),
    "u32",
  );
  const at = step.scalar("position");
  storeKv(step, x, cache, { batch: B, tokens: 1, width: C, rowStride: beams, start: at, label: "store" });
  const out = cachedAttention(step, x, cache, ancestry, {
    rows: B,
    heads: H,
    headSize: D,
    keys: step.scalar("keys"),
    label: "a",
  });
  step.keep(out);
  await step.compile();
  for (let t = prompt; t < T; t++) {
    device.write(x, tokensOf(t, 1));
    const got = await step.run({ position: t, keys: t + 1 }, [out]).f32();
    const wanted = Array.from({ length: B * C }, (_, i) => expected[(Math.floor(i / C) * T + t) * C + (i % C)]!);
    expect(nmse(got, wanted), `token ${t}`).toBeLessThan(TOLERANCE);
  }
  const untouched = new Float32Array(await device.read(cache.k)).subarray(T * C, 2 * T * C);
  expect(untouched.every((value) => value === 9)).toBe(true);
  step.destroy();
  p.destroy();
}
