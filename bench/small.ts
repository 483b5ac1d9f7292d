// The shipped model from photo to caption: latency, throughput, process start, and where the time goes.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { stopwatch, timed, watchLap, watchLoad } from "../src/bench/node-timing.js";
import { measurePeaks } from "../src/bench/peaks.js";
import { type Amount, type Result, result } from "../src/bench/result.js";
import { preprocess } from "../src/data/image/preprocess.js";
import { type CaptionOptions, ClipCap, decodeImage, modelFolder, openDevice, type RgbImage } from "../src/node.js";
import { lastGenerator } from "./inside.js";
import { printShares, publish } from "./report.js";

const PICTURE = fileURLToPath(new URL("../examples/pictures/brown-dog-grass.svg", import.meta.url));
const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
/** The project's own limits (README, "Speed"). */
const LIMIT = { caption: 250, warmStart: 3000, coldStart: 25_000 };

/** A photo-sized JPEG of the drawing: 500 x 375 as in Flickr8k. */
async function writePhoto(folder: string): Promise<string> {
  const file = path.join(folder, "photo.jpg");
  await sharp(PICTURE)
    .resize(500, 375, { fit: "cover" })
    .flatten({ background: "white" })
    .jpeg({ quality: 90 })
    .toFile(file);
  return file;
}

function line(kernel: string, variant: string, shape: string): Pick<Result, "kernel" | "variant" | "shape" | "dtype"> {
  return { kernel, variant, shape, dtype: "f32" };
}

async function latency(model: ClipCap, photo: string, variant: string, options: CaptionOptions): Promise<Result[]> {
  const decoding = stopwatch();
  const run = async () => {
    const lap = watchLap();
    const image = await decodeImage(photo);
    decoding.add(lap());
    return (await model.caption([image], options))[0]![0]!;
  };
  const { text, tokens } = await run();
  const before = { ...model.device.counters };
  const all = await timed(run, { warmup: 3, runs: 15 });
  const after = model.device.counters;
  for (const name of ["buffers", "bindGroups", "pipelines"] as const) {
    if (after[name] !== before[name])
      throw new Error(`a caption after warm-up created ${after[name] - before[name]} ${name}`);
  }
  console.log(`\n${variant}: ${tokens.length} tokens, "${text}"; the same shape again created nothing`);
  return [
    { ...result(line("photo to caption", variant, `${tokens.length} tokens`), all), limit_ms: LIMIT.caption },
    result(line("of it: decode jpeg", variant, "500 x 375"), decoding.timing(all.otherLoad)),
  ];
}

async function throughput(model: ClipCap, image: RgbImage, batch: number): Promise<Amount> {
  const images = Array<RgbImage>(batch).fill(image);
  const timing = await timed(() => model.caption(images, { batch }), { warmup: 1, runs: 5 });
  return {
    name: `captions per second, greedy, batch ${batch}`,
    value: (1000 * batch) / timing.median,
    unit: "images/s",
  };
}

/** Where a greedy caption's time goes: host work, the start program, one step. */
async function breakdown(model: ClipCap, image: RgbImage): Promise<Result[]> {
  const host = await timed(async () => preprocess(image, model.preprocessing, {}));
  const { start, step, state } = lastGenerator(model);
  const out = [result(line("of it: preprocess", "host", `${image.width} x ${image.height}`), host)];
  for (const program of [start, step]) {
    const timing = await timed(() => program.run({}, [state.next, state.remaining]).get(), { runs: 25 });
    out.push(result(line(`of it: ${program.label}`, "alone", `${program.dispatches.length} dispatches`), timing));
    await printShares(program.label, program, timing.median);
  }
  return out;
}

/** The command from the start of its process to its end, with an empty shader cache and then with a filled one. */
async function processStart(photo: string, folder: string): Promise<Result[]> {
  if (!existsSync(CLI)) {
    console.log("process start was left out: there is no dist/cli/main.js; run npm run build");
    return [];
  }
  const cache = path.join(folder, "shaders");
  const run = async () => {
    const env = { ...process.env, MESA_SHADER_CACHE_DIR: cache };
    execFileSync(process.execPath, [CLI, "caption", photo], { env, stdio: ["ignore", "pipe", "ignore"] });
  };
  const cold = await timed(run, { warmup: 0, runs: 1 });
  const warm = await timed(run, { warmup: 0, runs: 5 });
  // The work is a child's: for this process it would count as other load.
  const child = { cpu_ms: undefined, other_load: undefined };
  const what = (cache: string) => line("process start to caption", `${cache} shader cache`, "1 image");
  return [
    { ...result(what("cold"), cold), ...child, limit_ms: LIMIT.coldStart },
    { ...result(what("warm"), warm), ...child, limit_ms: LIMIT.warmStart },
  ];
}

const folder = mkdtempSync(path.join(os.tmpdir(), "clipcap-bench-"));
try {
  const photo = await writePhoto(folder);
  const watch = watchLoad();
  const started = await processStart(photo, folder);
  const device = await openDevice();
  const lap = watchLap();
  const model = await ClipCap.load(device, await modelFolder());
  const loading = stopwatch();
  loading.add(lap());
  const image = await decodeImage(photo);
  const results = [
    ...started,
    result(line("load model", "f16 file", "32 MB"), loading.timing(0)),
    ...(await latency(model, photo, "beam 5", { beam: 5 })),
    ...(await latency(model, photo, "greedy", {})),
    ...(await breakdown(model, image)),
  ];
  const amounts: Amount[] = [];
  for (const batch of [1, 4, 8, 16]) amounts.push(await throughput(model, image, batch));
  amounts.push({ name: "GPU memory, peak", value: device.memory().peak / 1e6, unit: "MB" });
  publish("small", device, await measurePeaks(device), watch(), results, amounts);
  model.close();
  device.close();
} finally {
  rmSync(folder, { recursive: true });
}
