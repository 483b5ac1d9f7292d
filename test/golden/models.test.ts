import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embedding } from "../../src/kernels/embedding/embedding.js";
import { addPositions, concatRows } from "../../src/kernels/rows/rows.js";
import { clipText, clipVision, endOfText, loadClipText, loadClipVision } from "../../src/models/clip.js";
import { gpt2FinalNorm, gpt2Logits, gpt2Prefill, loadGpt2 } from "../../src/models/gpt2.js";
import { loadMapper, mapper } from "../../src/models/mapper.js";
import { WeightLoader } from "../../src/models/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { type MapperConfig, parseClipConfig, parseGpt2Config } from "../../src/weights/config.js";
import { canonicalNames } from "../../src/weights/names.js";
import { goldenJson, goldenPath, goldenTensors, readI32 } from "../goldens.js";
import { runOp, testDevice, upload } from "../gpu/harness.js";

/** Tolerances of the project: hidden states rtol 1e-4 / atol 1e-3, logits 1e-3. */
function expectClose(
  name: string,
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  atol = 1e-3,
  rtol = 1e-4,
): void {
  expect(got.length, name).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    worst = Math.max(worst, Math.abs(got[i]! - expected[i]!) - rtol * Math.abs(expected[i]!));
  }
  expect(worst, `${name}: largest excess over ${rtol} relative`).toBeLessThan(atol);
}

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

const options = { dtype: "f32", account: "test" } as const;

describe("tiny CLIP", async () => {
  const golden = await goldenTensors("tiny", "clip.safetensors");
  const file = await canonicalNames(await goldenTensors("tiny", "tiny-clip", "model.safetensors"));
  const config = parseClipConfig(goldenJson("tiny", "tiny-clip", "config.json"));

  test("vision: hidden states, pooled, embeddings", async () => {
    const model = await loadClipVision(new WeightLoader(device, file, options), config.vision);
    const pixels = await golden.readF32("pixel_values");
    const got = await runOp(device, (p) => {
      const out = clipVision(p, model, upload(p, "pixels", [3, 3, 32, 32], pixels));
      return [...out.hidden, out.pooled, out.embeds];
    });
    const names = ["vision.hidden.0", "vision.hidden.1", "vision.hidden.2", "vision.pooled", "image_embeds"];
    for (const [i, name] of names.entries()) expectClose(name, got[i]!, await golden.readF32(name));
  });

  test("text: hidden states, pooled, embeddings", async () => {
    const model = await loadClipText(new WeightLoader(device, file, options), config.text);
    const ids = Array.from(await readI32(golden, "input_ids"));
    const [B, T] = [3, 16];
    const last = Array.from({ length: B }, (_, b) => b * T + endOfText(ids.slice(b * T, (b + 1) * T), config.text));
    const got = await runOp(device, (p) => {
      const idTensor = upload(p, "ids", [B * T], Uint32Array.from(ids), "u32");
      const lastTensor = upload(p, "last", [B], Uint32Array.from(last), "u32");
      const out = clipText(p, model, idTensor, lastTensor, { batch: B, tokens: T });
      return [...out.hidden, out.normed, out.pooled, out.embeds];
    });
    const names = ["text.hidden.0", "text.hidden.1", "text.hidden.2", "text.final_norm", "text.pooled", "text_embeds"];
    for (const [i, name] of names.entries()) expectClose(name, got[i]!, await golden.readF32(name));
  });
});

test("tiny GPT-2: hidden states and logits", async () => {
  const golden = await goldenTensors("tiny", "gpt2.safetensors");
  const file = await canonicalNames(await goldenTensors("tiny", "tiny-gpt2", "model.safetensors"));
  const config = parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json"));
  const model = await loadGpt2(new WeightLoader(device, file, options), config);
  const run = async (ids: Int32Array, B: number, T: number) =>
    runOp(device, (p) => {
      const idTensor = upload(p, "ids", [B * T], Uint32Array.from(ids), "u32");
      const x = embedding(p, idTensor, model.wte, { positions: { table: model.wpe, start: 0, period: T }, label: "x" });
      const hidden = gpt2Prefill(p, model, x, { batch: B, tokens: T });
      return [...hidden, gpt2FinalNorm(p, model, hidden.at(-1)!), gpt2Logits(p, model, hidden.at(-1)!)];
    });
  const got = await run(await readI32(golden, "tokens"), 4, 17);
  for (const [i, name] of ["hidden.0", "hidden.1", "hidden.2", "ln_f", "logits"].entries()) {
    expectClose(name, got[i]!, await golden.readF32(name));
  }
  const full = await run(await readI32(golden, "full_context.tokens"), 1, 48);
  expectClose("full context", full.at(-1)!, await golden.readF32("full_context.logits"));
});

describe.each(["mlp", "transformer"] as const)("tiny ClipCap with the %s mapper", (type) => {
  test("prefix, mapper states and logits", async () => {
    const golden = await goldenTensors("tiny", `clipcap_${type}.safetensors`);
    const folder = `tiny-clipcap-${type}`;
    const file = await canonicalNames(await goldenTensors("tiny", folder, "model.safetensors"));
    const gpt2Config = parseGpt2Config(
      JSON.parse(readFileSync(goldenPath("tiny", "tiny-gpt2", "config.json"), "utf8")),
    );
    const [K, clipWidth, C] = [4, 48, 64];
    const config: MapperConfig =
      type === "mlp"
        ? { type, prefixLength: K, clipWidth, gptWidth: C }
        : { type, prefixLength: K, clipLength: 3, clipWidth, gptWidth: C, layers: 2, heads: 8 };
    const loader = new WeightLoader(device, file, options);
    const map = await loadMapper(loader, config);
    const gpt2 = await loadGpt2(loader, gpt2Config);
    const [clip, ids] = [await golden.readF32("clip_embedding"), await readI32(golden, "tokens")];
    const [B, T] = [4, 12];
    const got = await runOp(device, (p) => {
      const { prefix, hidden } = mapper(p, map, upload(p, "clip", [B, clipWidth], clip));
      const text = embedding(p, upload(p, "ids", [B * T], Uint32Array.from(ids), "u32"), gpt2.wte, { label: "text" });
      const joined = concatRows(p, prefix, text, { batch: B, label: "joined" });
      const x = addPositions(p, joined, gpt2.wpe, { start: 0, period: K + T, label: "x" });
      const states = gpt2Prefill(p, gpt2, x, { batch: B, tokens: K + T });
      return [prefix, gpt2Logits(p, gpt2, states.at(-1)!), ...hidden];
    });
    expectClose("prefix", got[0]!, await golden.readF32("prefix"));
    // Row t of the golden predicts token t: positions K-1 .. K+T-2.
    const V = gpt2Config.vocab;
    const rows = Array.from({ length: B }, (_, b) =>
      got[1]!.slice((b * (K + T) + K - 1) * V, (b * (K + T) + K - 1 + T) * V),
    );
    expectClose(
      "logits",
      rows.flatMap((r) => Array.from(r)),
      await golden.readF32("logits"),
    );
    for (let i = 2; i < got.length; i++) {
      expectClose(`mapper.hidden.${i - 2}`, got[i]!, await golden.readF32(`mapper.hidden.${i - 2}`));
    }
  });
});
