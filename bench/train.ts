// One training step: the 8-layer transformer mapper (K = C = 10) in front of a frozen GPT-2 small, synthetic weights.
import { timed, watchLoad } from "../src/bench/node-timing.js";
import { measurePeaks } from "../src/bench/peaks.js";
import { type Amount, result } from "../src/bench/result.js";
import { loadGpt2 } from "../src/models/gpt2.js";
import { loadMapper } from "../src/models/mapper.js";
import { listWeights, WeightLoader } from "../src/models/weights.js";
import { openDevice } from "../src/node.js";
import type { Device } from "../src/runtime/device.js";
import { Program } from "../src/runtime/program.js";
import { captionBatch, captionLoss, labelledRows } from "../src/train/caption-loss.js";
import { ADAMW_DEFAULTS, recordAdamW } from "../src/train/optimizer.js";
import { ParameterStore } from "../src/train/parameters.js";
import { type MapperConfig, parseGpt2Config } from "../src/weights/config.js";
import { gpt2Shapes, mapperShapes } from "../src/weights/shapes.js";
import { syntheticFile, syntheticInts, syntheticTensor } from "../src/weights/synthetic.js";
import { printShares, publish } from "./report.js";

const SEED = 1;
const [B, T, K] = [8, 16, 10];
const MAPPER: MapperConfig = {
  type: "transformer",
  prefixLength: K,
  clipLength: 10,
  clipWidth: 512,
  gptWidth: 768,
  layers: 8,
  heads: 8,
};

/** The step as training records it: loss, gradients, AdamW with clipping. */
async function record(device: Device) {
  const language = parseGpt2Config({});
  const mapperFile = syntheticFile(mapperShapes(MAPPER), "full", SEED);
  const listed = await listWeights(device, mapperFile, (w) => loadMapper(w, MAPPER));
  const parameters = listed.map(({ tensor: { label: name, shape } }) => ({ name, shape, decay: shape.length > 1 }));
  const store = ParameterStore.create(device, parameters);
  const allocate = (label: string) => store.tensor(label);
  const gpt2File = syntheticFile(gpt2Shapes(language), "full", SEED);
  const model = {
    mapper: await loadMapper(
      new WeightLoader(device, mapperFile, { dtype: "f32", account: "mapper", allocate }),
      MAPPER,
    ),
    gpt2: await loadGpt2(new WeightLoader(device, gpt2File, { dtype: "f32", account: "gpt2" }), language),
  };
  const p = new Program(device, "train step");
  const batch = captionBatch(p, { batch: B, tokens: T, labels: B * T });
  const ids = syntheticInts("tokens", [B * T], 1, language.vocab, SEED);
  const captions = Array.from({ length: B }, (_, b) => Array.from(ids.slice(b * T, (b + 1) * T)));
  const { rows, targets } = labelledRows(captions, { prefixLength: K, tokens: T });
  device.write(batch.ids, Uint32Array.from(ids));
  device.write(batch.rows, Uint32Array.from(rows));
  device.write(batch.targets, Uint32Array.from(targets));
  device.write(batch.weights, new Float32Array(B * T).fill(1 / (B * T)));
  const clip = p.persistent("clip", [B, 512]);
  device.write(clip, syntheticTensor("clip", [B, 512], SEED, 0.5));
  const one = p.persistent("one", [1]);
  device.write(one, Float32Array.of(1));
  const loss = captionLoss(p, model, clip, batch);
  p.keep(loss);
  p.backward(loss, one);
  recordAdamW(p, store, { ...ADAMW_DEFAULTS.torch, maxNorm: 1, loss, label: "adamw" });
  await p.compile();
  return { p, loss };
}

const device = await openDevice();
const peaks = await measurePeaks(device);
const load = watchLoad();
const { p, loss } = await record(device);
const flops = p.dispatches.reduce((sum, d) => sum + (d.flops ?? 0), 0);
let t = 0;
const step = () => p.run({ accumulate: 0, lr: 1e-5, t: ++t }, [loss]).get();
await step();
const { buffers, bindGroups, pipelines } = device.counters;
const timing = await timed(step, { warmup: 1, runs: 7 });
const created = device.counters.buffers - buffers + device.counters.bindGroups - bindGroups;
if (created + device.counters.pipelines - pipelines > 0) throw new Error("a steady training step created something");
const shape = `batch ${B}, ${K} + ${T} tokens`;
const what = { kernel: "train step", variant: "transformer mapper, frozen GPT-2 small", shape, dtype: "f32" };
const results = [result(what, timing, { flops, peaks })];
const { peak } = device.memory();
const amounts: Amount[] = [
  { name: "labelled tokens per second", value: (B * T * 1000) / timing.median, unit: "tokens/s" },
  { name: "arithmetic of a step", value: flops / 1e9, unit: "GFLOP" },
  { name: "dispatches of a step", value: p.dispatches.length, unit: "" },
  { name: "GPU memory, peak", value: peak / 1e6, unit: "MB" },
];
await printShares("train step", p, timing.median);
publish("train", device, peaks, load(), results, amounts);
device.close();
