import { Generator, type GeneratorShape, type Strategy } from "../../models/generate.js";
import type { Gpt2 } from "../../models/gpt2.js";
import { type Mapper, mapper } from "../../models/mapper.js";
import type { Device } from "../../runtime/device.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { syntheticTensor } from "../../weights/synthetic.js";
import { type Lap, quantile, stopwatch, type Timing, watchLap, watchLoad } from "../node-timing.js";
import { replay } from "../replay.js";
import { countWork } from "./counts.js";
import { growing } from "./growth.js";
import { amount, type Measurement, type Place, time } from "./measurement.js";
import { PREFIX, SEED } from "./networks.js";

export interface Decoding {
  readonly name: "greedy" | `beam ${number}`;
  readonly strategy: Strategy;
  readonly width: number;
}

export const GREEDY: Decoding = { name: "greedy", strategy: { type: "greedy" }, width: 1 };

export function beam(width: number): Decoding {
  return { name: `beam ${width}`, strategy: { type: "beam", rule: "mean", temperature: 1, alpha: 1 }, width };
}

/** Decodes `tokens` tokens for a number of images, from prefixes that `prefixOf` makes. */
export function generatorFor(
  device: Device,
  gpt2: Gpt2,
  { strategy, width }: Decoding,
  { images, tokens }: { readonly images: number; readonly tokens: number },
  prefixOf: (p: Program) => Tensor,
): Promise<Generator> {
  const shape: GeneratorShape = {
    images,
    width,
    prompt: [],
    maxTokens: tokens,
    stop: [], // so that every run takes all steps
    strategy,
    repetitionPenalty: 1,
    noRepeatNgram: 0,
  };
  return Generator.create(device, gpt2, PREFIX, shape, prefixOf);
}

/** Prefixes from CLIP embeddings of the formula. */
function mappedPrefix(device: Device, map: Mapper, images: number): (p: Program) => Tensor {
  const { clipWidth } = map.config;
  return (p) => {
    const input = p.persistent("clip", [images, clipWidth]);
    device.write(input, syntheticTensor("clip", [images, clipWidth], SEED, 0.3));
    return mapper(p, map, input).prefix;
  };
}

/** Prefixes of the formula, where there is no mapper. */
export function plainPrefix(device: Device, gpt2: Gpt2, images: number): (p: Program) => Tensor {
  return (p) => {
    const shape = [images * PREFIX, gpt2.config.width];
    const prefix = p.persistent("prefix", shape);
    device.write(prefix, syntheticTensor("prefix", shape, SEED, 0.3));
    return prefix;
  };
}

export interface StepTimes {
  readonly first: Timing;
  readonly step: Timing;
  /** Of each step, the first one left out: the median over the runs, in ms. */
  readonly bySteps: readonly number[];
}

/** One decoding: the time to the first token, then of each further one. */
async function lapsOf(generator: Generator): Promise<Lap[]> {
  const laps: Lap[] = [];
  let lap = watchLap();
  const onTokens = () => {
    laps.push(lap());
    lap = watchLap();
  };
  await generator.run({ seed: 0, onTokens });
  return laps;
}

/** Times `runs` decodings after one that warms up. */
export async function timeSteps(generator: Generator, runs: number): Promise<StepTimes> {
  await generator.run({ seed: 0 });
  const load = watchLoad();
  const all: Lap[][] = [];
  for (let run = 0; run < runs; run++) all.push(await lapsOf(generator));
  const { otherCores } = load();
  const timing = (laps: readonly Lap[]) => {
    const watch = stopwatch();
    for (const lap of laps) watch.add(lap);
    return watch.timing(otherCores);
  };
  const steps = all.map(([, ...further]) => further);
  const bySteps = steps[0]!.map((_, i) =>
    quantile(
      steps.map((run) => run[i]!.wall),
      0.5,
    ),
  );
  return { first: timing(all.map(([first]) => first!)), step: timing(steps.flat()), bySteps };
}

/** Decodings and replays in turns, so that what else the machine does meets both. */
const TURNS = 7;

/** Part of a step's time in which no kernel runs, in per cent: the rest is what the same dispatches take in one submit. */
async function hostShare(generator: Generator): Promise<number> {
  const { step } = generator;
  const all = step.dispatches.map((_, i) => i);
  const shares: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const [, ...steps] = await lapsOf(generator);
    const lap = watchLap();
    replay(step, all, steps.length);
    await step.device.idle();
    shares.push(1 - lap().wall / steps.reduce((sum, { wall }) => sum + wall, 0));
  }
  return 100 * quantile(shares, 0.5);
}

/** The project's own limits, in ms and in per cent. */
const LIMIT_MS = { greedy: 90, "beam 5": 110 } as Readonly<Record<string, number>>;
const HOST_SHARE = 10;
const STEPS = 16;
const RUNS = 3;

export interface DecodeSubject {
  readonly device: Device;
  readonly model: string;
  readonly gpt2: Gpt2;
  readonly map: Mapper;
}

/** First token and further steps of one image, what a step submits, and what of it is the host's. */
export async function* decodeSteps(
  { device, model, gpt2, map }: DecodeSubject,
  d: Decoding,
): AsyncGenerator<Measurement> {
  const generator = await generatorFor(device, gpt2, d, { images: 1, tokens: STEPS }, mappedPrefix(device, map, 1));
  try {
    const how = `${d.name}, 1 image, ${PREFIX} + ${STEPS} tokens`;
    const { first, step } = await timeSteps(generator, RUNS);
    yield time({ what: "mapper, prefill, first token", model, how }, first);
    const subject = { what: "decode step", model, how };
    yield time({ ...subject, limit: LIMIT_MS[d.name] }, step);
    yield* await countWork(device, { ...subject, what: "decoding, per token" }, STEPS, () =>
      generator.run({ seed: 0 }),
    );
    const share = await hostShare(generator);
    yield amount({ ...subject, what: "share of a decode step without a kernel", limit: HOST_SHARE }, share, "%");
  } finally {
    generator.destroy();
  }
}

/** A step's time as beams or images grow. */
export async function* decodeGrowth(
  { device, model, gpt2, map }: DecodeSubject,
  axis: "beams" | "images",
  points: readonly number[],
): AsyncGenerator<Measurement> {
  const tokens = 8;
  yield* growing(points, async (n) => {
    const [d, images] = axis === "beams" ? [n === 1 ? GREEDY : beam(n), 1] : [GREEDY, n];
    const generator = await generatorFor(device, gpt2, d, { images, tokens }, mappedPrefix(device, map, images));
    try {
      const { step } = await timeSteps(generator, 2);
      const place: Place = { axis, x: n, line: model };
      const found = [
        time(
          { what: "decode step", model, how: `${d.name}, ${images === 1 ? "1 image" : `${images} images`}`, place },
          step,
        ),
      ];
      return { ms: step.median * tokens, found };
    } finally {
      generator.destroy();
    }
  });
}

/** A step's time as the text before it grows: one long decoding, read in windows. */
export async function* decodeLength(
  { device, model, gpt2, map }: DecodeSubject,
  tokens: number,
): AsyncGenerator<Measurement> {
  const generator = await generatorFor(device, gpt2, GREEDY, { images: 1, tokens }, mappedPrefix(device, map, 1));
  try {
    const { bySteps } = await timeSteps(generator, 1);
    const window = Math.max(1, Math.floor(bySteps.length / 8));
    for (let start = 0; start + window <= bySteps.length; start += window) {
      const before = PREFIX + start + Math.floor(window / 2) + 1;
      const place: Place = { axis: "tokens", x: before, line: model };
      const median = quantile(bySteps.slice(start, start + window), 0.5);
      yield amount({ what: "decode step", model, how: `greedy, ${before} tokens before it`, place }, median, "ms");
    }
  } finally {
    generator.destroy();
  }
}
