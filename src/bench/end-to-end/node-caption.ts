import { decodeImage, loadSharp } from "../../data/image/decode-node.js";
import { preprocess } from "../../data/image/preprocess.js";
import type { RgbImage } from "../../data/image/rgb.js";
import { ClipCap } from "../../models/clipcap.js";
import type { CaptionOptions } from "../../models/options.js";
import { DEFAULT_MODEL, modelFolder } from "../../node/model.js";
import type { Device } from "../../runtime/device.js";
import type { ProgramRun } from "../../runtime/trace.js";
import { stages } from "../../runtime/trace-events.js";
import { stopwatch, type Timing, timed, watchLap } from "../node-timing.js";
import { countWork } from "./counts.js";
import { growing, turns } from "./growth.js";
import { amount, type Measurement, type Place, time } from "./measurement.js";
import { tracedRuns } from "./traced.js";

const MODEL = `${DEFAULT_MODEL} (shipped weights)`;
/** The project's own limit from photo to caption, in ms. */
const LIMIT_MS = 250;

/** A JPEG of 500 x 375, the size of Flickr8k's photos. */
export async function drawnPhoto(): Promise<Buffer> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="500" height="375"><rect width="500" height="190" fill="#9cc4e8"/>
<rect y="190" width="500" height="185" fill="#5f9a45"/><ellipse cx="250" cy="235" rx="95" ry="48" fill="#7a4a22"/>
<circle cx="350" cy="195" r="36" fill="#7a4a22"/><path d="M180 270v60M210 275v60M290 275v60M320 270v60" stroke="#6b3f1c" stroke-width="18"/></svg>`;
  const sharp = await loadSharp();
  return sharp(Buffer.from(svg)).jpeg({ quality: 90 }).toBuffer();
}

/** Loading, and the first caption in a process beside the second. */
export async function* loadAndFirst(device: Device): AsyncGenerator<Measurement> {
  const subject = { model: MODEL, how: "f32" };
  const before = device.memory().used;
  const { value: model, ms } = await timedOnce(() => load(device));
  yield time({ ...subject, what: "load" }, ms);
  yield amount({ ...subject, what: "weights on the device" }, (device.memory().used - before) / 1e6, "MB");
  const image = await decodeImage(await drawnPhoto());
  const how = "greedy, 1 image";
  yield time({ model: MODEL, how, what: "record and compile" }, (await timedOnce(() => model.prepare(1))).ms);
  const caption = () => model.caption([image]);
  yield time({ model: MODEL, how, what: "first caption after that" }, (await timedOnce(caption)).ms);
  yield time({ model: MODEL, how, what: "second caption" }, (await timedOnce(caption)).ms);
  yield amount({ model: MODEL, how, what: "peak of device memory" }, device.memory().peak / 1e6, "MB");
  model.close();
}

async function load(device: Device): Promise<ClipCap> {
  return ClipCap.load(device, await modelFolder());
}

async function timedOnce<T>(work: () => Promise<T>): Promise<{ readonly value: T; readonly ms: Timing }> {
  let value!: T;
  const ms = await timed(
    async () => {
      value = await work();
    },
    { warmup: 0, runs: 1 },
  );
  return { value, ms };
}

/** From a JPEG to its caption: the whole, its stages, what it submits. The device needs timestamps for the stages. */
export async function* captionLatency(device: Device, beams: number): AsyncGenerator<Measurement> {
  const model = await load(device);
  const photo = await drawnPhoto();
  const options: CaptionOptions = beams > 1 ? { beam: beams } : {};
  const decoding = stopwatch();
  const run = async () => {
    const lap = watchLap();
    const image = await decodeImage(photo);
    decoding.add(lap());
    return (await model.caption([image], options))[0]![0]!;
  };
  const { tokens } = await run();
  const how = `${beams > 1 ? `beam ${beams}` : "greedy"}, ${tokens.length} tokens`;
  const whole = await timed(run, { warmup: 3, runs: 15 });
  yield time({ what: "photo to caption", model: MODEL, how, limit: LIMIT_MS }, whole);
  const pixels = { model: MODEL, how: `${how}, 500 x 375` };
  yield time({ ...pixels, what: "of it: decode the JPEG" }, decoding.timing(whole.otherLoad));
  const image = await decodeImage(photo);
  const resize = await timed(async () => preprocess(image, model.preprocessing, {}));
  yield time({ ...pixels, what: "of it: resize and crop" }, resize);
  yield* await countWork(device, { what: "photo to caption", model: MODEL, how }, 1, run);
  for (const [stage, ms] of await tracedStages(device, () => model.caption([image], options))) {
    yield amount({ what: `of it: ${stage}`, model: MODEL, how: `${how}, traced` }, ms, "ms");
  }
  model.close();
}

const STAGES: Readonly<Record<string, string>> = {
  clip: "CLIP",
  mapper: "mapper",
  gpt2: "prefill",
  generate: "choose the first token",
};

/** Time on the device by stage, of one piece of work. */
async function tracedStages(device: Device, work: () => Promise<unknown>): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  const add = (name: string, { times }: ProgramRun, first: number, last: number) =>
    sums.set(name, (sums.get(name) ?? 0) + times[2 * last + 1]! - times[2 * first]!);
  for (const run of await tracedRuns(device, work)) {
    if (run.program === "generate.step") add("further tokens", run, 0, run.dispatches.length - 1);
    else for (const { stage, first, last } of stages(run.dispatches)) add(STAGES[stage] ?? stage, run, first, last);
  }
  return sums;
}

/** Captions a second as the batch grows. */
export async function* captionThroughput(device: Device, points: readonly number[]): AsyncGenerator<Measurement> {
  const model = await load(device);
  const image: RgbImage = await decodeImage(await drawnPhoto());
  yield* growing(points, async (batch) => {
    const images = Array<RgbImage>(batch).fill(image);
    const run = () => model.caption(images, { batch });
    await run();
    const once = await timed(run, { warmup: 0, runs: 1 });
    const { median, ...timing } = await timed(run, { warmup: 0, runs: turns(once.median) });
    const subject = { model: MODEL, how: `greedy, batch ${batch}` };
    const place: Place = { axis: "images", x: batch, line: MODEL };
    const found = [
      time({ ...subject, what: "batch of captions", place }, { median, ...timing }),
      amount({ ...subject, what: "captions", place }, (1000 * batch) / median, "images/s"),
    ];
    return { ms: median, found };
  });
  model.close();
}
