import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BANNED } from "../../src/kernels/decode/limits.js";
import {
  chooseSampleVariant,
  filterProbabilities,
  SAMPLE_VARIANTS,
  type SampleOptions,
  type SampleVariant,
  sampleStep,
} from "../../src/kernels/decode/sample.js";
import {
  type FilterRef,
  filterProbabilitiesRef,
  sampleStepRef,
  uniformRef,
} from "../../src/kernels/decode/sample.ref.js";
import { freeDecodeState } from "../../src/kernels/decode/state.js";
import type { Device } from "../../src/runtime/device.js";
import { Program } from "../../src/runtime/program.js";
import { emptyRows, Scripted, type Snapshot } from "./decode-steps.js";
import { nmse, runOp, testDevice, upload, values } from "./harness.js";

let devices: Record<"max" | "default", Device>;
beforeAll(async () => {
  devices = { max: await testDevice(), default: await testDevice({ limits: "default" }) };
});
afterAll(() => {
  devices?.max.close();
  devices?.default.close();
});

/** Exponentially distributed, like the logits of a language model at the top. */
function row(name: string, vocab: number): Float32Array {
  return values(name, vocab).map((x) => -1.2 * Math.log((1 - x) / 2 + 1e-9));
}

function runnable(): SampleVariant[] {
  return SAMPLE_VARIANTS.filter((v) => v.filter.reduce === "shared" || v.filter.size === devices.max.lanes);
}

const filters: readonly FilterRef[] = [
  {},
  { temperature: 0.6 },
  { topK: 1 },
  { topK: 40 },
  { topK: 60_000 },
  { topP: 0.9 },
  { topP: 0.001 },
  { temperature: 1.4, topK: 50, topP: 0.8 },
];

describe.each(filters.map((f) => [JSON.stringify(f), f] as const))("filter %s", (_, filter) => {
  test.each([
    [1, 1],
    [3, 23],
    [2, 211],
    [2, 4096],
    [2, 50_257],
  ])("%i rows of %i", async (rows, vocab) => {
    const data = new Float32Array(rows * vocab);
    for (let r = 0; r < rows; r++)
      data.set(
        row(`filter ${vocab} ${r}`, vocab).map((x) => x - 30 * r),
        r * vocab,
      );
    if (vocab > 1) data[1] = BANNED;
    const want = Array.from({ length: rows }, (_, r) =>
      filterProbabilitiesRef(data.subarray(r * vocab, (r + 1) * vocab), filter),
    ).flat();
    for (const variant of runnable()) {
      const [got] = await runOp(devices.default, (p) =>
        filterProbabilities(p, upload(p, "logits", [rows, vocab], data), { label: "filter", ...filter, variant }),
      );
      expect(Array.from(got!, (x) => x > 0)).toEqual(want.map((x) => x > 0));
      expect(nmse(got!, want)).toBeLessThan(1e-9);
    }
  });
});

test("tokens with equal logits stay or go together", async () => {
  const data = [0, -0, 2, 2, 1, 1, -3, 1];
  const kept = async (filter: FilterRef) => {
    const [got] = await runOp(devices.max, (p) =>
      filterProbabilities(p, upload(p, "logits", [1, 8], data), { label: "filter", ...filter }),
    );
    const want = filterProbabilitiesRef(data, filter);
    expect(nmse(got!, want)).toBeLessThan(1e-9);
    return Array.from(got!, (x) => (x > 0 ? 1 : 0)).join("");
  };
  expect(await kept({ topK: 1 })).toBe("00110000");
  expect(await kept({ topK: 3 })).toBe("00111101");
  expect(await kept({ topK: 6 })).toBe("11111101");
  expect(await kept({ topP: 0.5 })).toBe("00110000");
  expect(await kept({ topP: 0.7 })).toBe("00111101");
});

interface Play extends FilterRef {
  readonly images: number;
  readonly width: number;
  readonly vocab: number;
  readonly steps: number;
  readonly stop: readonly number[];
  readonly seed: number;
  readonly variant?: SampleVariant;
  /** Number of the first image; the logits of an image depend on it. */
  readonly firstImage?: number;
}

function logitsOf(c: Play, image: number, step: number, r: number): Float32Array {
  return row(`sample ${c.vocab} ${image} ${step} ${r}`, c.vocab);
}

async function play(device: Device, c: Play): Promise<Snapshot> {
  const { images, width, vocab, steps, stop, temperature, topK, topP } = c;
  const options = { label: "sample", stop, temperature, topK, topP, variant: c.variant } as SampleOptions;
  const script = await Scripted.create(
    device,
    { images, width, maxTokens: steps, capacity: 1, vocab },
    (p, logits, s, step) => sampleStep(p, logits, s, { ...options, step, seed: p.scalar("seed") }),
  );
  let got: Snapshot | undefined;
  for (let step = 0; step < steps; step++) {
    const logits = Array.from({ length: images * width }, (_, r) =>
      logitsOf(c, Math.floor(r / width) + (c.firstImage ?? 0), step, r % width),
    );
    got = await script.step(logits, { seed: c.seed });
  }
  script.destroy();
  freeDecodeState(device, script.state);
  return got!;
}

const plays: readonly Play[] = [
  { images: 3, width: 4, vocab: 23, steps: 12, stop: [2], seed: 1 },
  { images: 2, width: 2, vocab: 211, steps: 10, stop: [], seed: 2 ** 32 - 1, topK: 20, temperature: 0.8 },
  { images: 1, width: 3, vocab: 4096, steps: 6, stop: [1, 2, 3], seed: 7, topP: 0.9 },
  { images: 1, width: 5, vocab: 50_257, steps: 5, stop: [13], seed: 123, topP: 0.8, topK: 100, temperature: 1.2 },
];

describe.each(plays.map((c) => [`${c.images}x${c.width} of ${c.vocab}, seed ${c.seed}`, c] as const))("%s", (_, c) => {
  test("every variant draws what the reference draws", async () => {
    const want = emptyRows(c.images * c.width).map((start, r) => {
      let now = start;
      for (let step = 0; step < c.steps; step++) {
        const caption = r % c.width;
        const logits = logitsOf(c, Math.floor(r / c.width), step, caption);
        const next = sampleStepRef(now, logits, { ...c, caption });
        if (!now.stopped) expect(next.margin, "f32 could draw otherwise: choose another seed").toBeGreaterThan(2e-6);
        now = next;
      }
      return now;
    });
    for (const variant of runnable()) {
      const got = await play(devices.default, { ...c, variant });
      expect(got.rows.map((r) => [r.tokens, r.length, r.stopped])).toEqual(
        want.map((r) => [r.tokens, r.length, r.stopped]),
      );
      want.forEach((r, i) => {
        expect(got.rows[i]!.score).toBeCloseTo(r.score, 3);
      });
    }
  });
});

test("a caption is the same to the bit in any batch", async () => {
  const whole = await play(devices.max, plays[0]!);
  const single = await play(devices.max, { ...plays[0]!, images: 1, firstImage: 2 });
  expect(single.rows).toEqual(whole.rows.slice(8));
  const other = await play(devices.max, { ...plays[0]!, seed: 2 });
  expect(other.rows).not.toEqual(whole.rows);
});

test("the random numbers are even over seeds, captions and steps", () => {
  const bins = new Array<number>(64).fill(0);
  let sum = 0;
  const count = 40 * 20 * 64;
  for (let seed = 0; seed < 40; seed++) {
    for (let caption = 0; caption < 20; caption++) {
      for (let step = 0; step < 64; step++) {
        const x = uniformRef(seed, caption, step);
        bins[Math.floor(x * 64)]!++;
        sum += x;
      }
    }
  }
  expect(Math.abs(sum / count - 0.5)).toBeLessThan(0.004); // 3 standard deviations: 0.0038
  const chi2 = bins.reduce((total, n) => total + (n - count / 64) ** 2 / (count / 64), 0);
  expect(chi2).toBeLessThan(103); // 63 degrees of freedom, one in a thousand
});

test("the variant follows the adapter", () => {
  const adapter = { vendor: "", architecture: "", device: "", description: "", isCpu: true };
  expect(chooseSampleVariant({ adapter, lanes: 8 }).filter).toEqual({ reduce: "lanes", size: 8 });
  expect(chooseSampleVariant({ adapter, lanes: 0 }).filter).toEqual({ reduce: "shared", size: 8 });
  expect(chooseSampleVariant({ adapter: { ...adapter, isCpu: false }, lanes: 0 }).draw).toBe(256);
});

test("filters outside their range are refused", () => {
  const p = new Program(devices.max, "refused");
  const logits = p.transient("logits", [1, 9]);
  const refuse = (filter: FilterRef, message: RegExp) =>
    expect(() => filterProbabilities(p, logits, { label: "filter", ...filter })).toThrow(message);
  refuse({ temperature: 0 }, /temperature 0; it must be above 0/);
  refuse({ topP: 0 }, /topP 0; it must be above 0 and at most 1/);
  refuse({ topP: 1.5 }, /topP 1.5/);
  refuse({ topK: 0 }, /topK 0; it must be a whole number from 1 on/);
});
