// The full-size captioner (ViT-B/32, MLP mapper, GPT-2 small) on synthetic weights: speed, memory, where the time goes.
import { stopwatch, timed, watchLap, watchLoad } from "../src/bench/node-timing.js";
import { measurePeaks, type Peaks } from "../src/bench/peaks.js";
import { type Amount, type Result, result } from "../src/bench/result.js";
import { type ClipVision, clipVision, loadClipVision } from "../src/models/clip.js";
import { Generator, type GeneratorShape, type Strategy } from "../src/models/generate.js";
import { type Gpt2, loadGpt2 } from "../src/models/gpt2.js";
import { loadMapper, type Mapper, mapper } from "../src/models/mapper.js";
import { WeightLoader } from "../src/models/weights.js";
import { openDevice } from "../src/node.js";
import type { Device } from "../src/runtime/device.js";
import { Program } from "../src/runtime/program.js";
import type { Tensor } from "../src/runtime/tensor.js";
import { type MapperConfig, parseClipConfig, parseGpt2Config } from "../src/weights/config.js";
import { clipVisionShapes, gpt2Shapes, mapperShapes, type Shapes } from "../src/weights/shapes.js";
import { syntheticFile, syntheticTensor } from "../src/weights/synthetic.js";
import { partsOf } from "./inside.js";
import { printShares, printTable, publish } from "./report.js";

const SEED = 1;
const PREFIX = 10;
const STEPS = 16;
/** The project's own limits (README, "Speed" and "Memory"). */
const LIMIT = { encode: 450, greedy: 90, beam: 110, overWeights: 60e6, overGpu: 400e6 };

interface Models {
  readonly vision: ClipVision;
  readonly map: Mapper;
  readonly gpt2: Gpt2;
}

async function load(device: Device): Promise<Models> {
  const { vision } = parseClipConfig({ vision_config: {}, text_config: {} });
  const language = parseGpt2Config({});
  const shape: MapperConfig = { type: "mlp", prefixLength: PREFIX, clipWidth: 512, gptWidth: 768 };
  const loader = (shapes: Shapes, account: string) =>
    new WeightLoader(device, syntheticFile(shapes, "full", SEED), { dtype: "f32", account });
  return {
    vision: await loadClipVision(loader(clipVisionShapes(vision), "clip"), vision),
    map: await loadMapper(loader(mapperShapes(shape), "mapper"), shape),
    gpt2: await loadGpt2(loader(gpt2Shapes(language), "gpt2"), language),
  };
}

function pixelsOf(p: Program, count: number): Tensor {
  const pixels = p.persistent("pixels", [count, 3, 224, 224]);
  p.device.write(pixels, syntheticTensor("pixel_values", [count, 3, 224, 224], SEED, 1));
  return pixels;
}

async function encode(device: Device, { vision }: Models, peaks: Peaks, count: number): Promise<Result> {
  const program = new Program(device, "encode");
  const { embeds } = clipVision(program, vision, pixelsOf(program, count));
  program.keep(embeds);
  await program.compile();
  const timing = await timed(() => program.run({}, [embeds]).get());
  const flops = program.dispatches.reduce((sum, d) => sum + (d.flops ?? 0), 0);
  const what = { kernel: "clip.encode", variant: "program", shape: `${count} image`, dtype: "f32" };
  if (count === 1) await printShares("clip.encode", program, timing.median);
  program.destroy();
  return { ...result(what, timing, { flops, peaks }), ...(count === 1 && { limit_ms: LIMIT.encode }) };
}

async function decode(device: Device, m: Models, strategy: Strategy, width: number): Promise<Result[]> {
  const shape: GeneratorShape = {
    images: 1,
    width,
    prompt: [],
    maxTokens: STEPS,
    stop: [], // so that every run takes all steps
    strategy,
    repetitionPenalty: 1,
    noRepeatNgram: 0,
  };
  const clip = syntheticTensor("clip", [1, 512], SEED, 0.3);
  const generator = await Generator.create(device, m.gpt2, PREFIX, shape, (p) => {
    const input = p.persistent("clip", [1, 512]);
    device.write(input, clip);
    return mapper(p, m.map, input).prefix;
  });
  const [first, steps] = [stopwatch(), stopwatch()];
  await generator.run({ seed: 0 });
  const before = { ...device.counters };
  const load = watchLoad();
  for (let run = 0; run < 3; run++) {
    let lap = watchLap();
    await generator.run({
      seed: 0,
      onTokens: (_, step) => {
        (step === 0 ? first : steps).add(lap());
        lap = watchLap();
      },
    });
  }
  const { otherCores } = load();
  for (const name of ["buffers", "bindGroups", "pipelines"] as const) {
    if (device.counters[name] !== before[name]) throw new Error(`steady decoding created ${name}`);
  }
  const name = strategy.type === "greedy" ? "greedy" : "beam";
  const parts = partsOf(generator);
  if (name === "greedy") await printShares("prefill and mapper", parts.start, first.timing(0).median);
  await printShares(`gpt2.decode ${name}`, parts.step, steps.timing(0).median);
  generator.destroy();
  const what = { variant: name, shape: `1 image x ${width}, ${PREFIX} + ${STEPS} tokens`, dtype: "f32" };
  return [
    result({ ...what, kernel: "gpt2.prefill+mapper" }, first.timing(otherCores)),
    { ...result({ ...what, kernel: "gpt2.decode step" }, steps.timing(otherCores)), limit_ms: LIMIT[name] },
  ];
}

/** Peak bytes of a captioner at beam 5, image to caption, beside those of its weights. */
async function captionMemory(device: Device, m: Models, weights: number): Promise<Amount[]> {
  const shape: GeneratorShape = {
    images: 1,
    width: 5,
    prompt: [],
    maxTokens: 67,
    stop: [13],
    strategy: { type: "beam", rule: "mean", temperature: 1, alpha: 1 },
    repetitionPenalty: 1,
    noRepeatNgram: 0,
  };
  const generator = await Generator.create(device, m.gpt2, PREFIX, shape, (p) => {
    return mapper(p, m.map, clipVision(p, m.vision, pixelsOf(p, 1)).embeds).prefix;
  });
  const timing = await timed(() => generator.run({ seed: 0 }), { warmup: 0, runs: 1 });
  const { used, byLabel } = device.memory();
  printTable(Object.entries(byLabel).map(([label, bytes]) => [label, `${(bytes / 1e6).toFixed(2)} MB`]));
  generator.destroy();
  return [
    {
      name: "GPU memory beyond weights, beam 5, 67 tokens",
      value: (used - weights) / 1e6,
      unit: "MB",
      limit: LIMIT.overWeights / 1e6,
    },
    { name: "image to caption, beam 5, up to 67 tokens", value: timing.median / 1000, unit: "s" },
  ];
}

const device = await openDevice();
const before = device.memory().used;
const started = performance.now();
const models = await load(device);
await device.settle();
await device.idle();
const seconds = (performance.now() - started) / 1000;
const weights = device.memory().used - before;
const rss = process.resourceUsage().maxRSS * 1024; // the most there ever was, so nothing is missed between samples
const amounts: Amount[] = [
  { name: "load, values computed", value: seconds, unit: "s" },
  { name: "weights on the GPU", value: weights / 1e6, unit: "MB" },
  // A CPU adapter's memory is the process's own; elsewhere the limit is only met more easily.
  {
    name: "largest RSS while loading, beyond GPU bytes",
    value: (rss - weights) / 1e6,
    unit: "MB",
    limit: LIMIT.overGpu / 1e6,
  },
  ...(await captionMemory(device, models, weights)),
];
const watch = watchLoad();
const peaks = await measurePeaks(device);
const results = [
  await encode(device, models, peaks, 1),
  await encode(device, models, peaks, 8),
  ...(await decode(device, models, { type: "greedy" }, 1)),
  ...(await decode(device, models, { type: "beam", rule: "mean", temperature: 1, alpha: 1 }, 5)),
];
publish("full", device, peaks, watch(), results, amounts);
device.close();
