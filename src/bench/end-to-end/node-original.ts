import { clipVision } from "../../models/clip.js";
import { mapper } from "../../models/mapper.js";
import type { Device } from "../../runtime/device.js";
import { timed } from "../node-timing.js";
import { beam, generatorFor } from "./decode.js";
import { pixelsOf } from "./encode.js";
import { amount, type Measurement, time } from "./measurement.js";
import { loadSynthetic, type Networks, type Sizes } from "./networks.js";

/** The project's own limits beyond the weights, in MB: on the device, and of the process while it loads. */
const LIMIT_MB = { device: 60, process: 400 };
const SAMPLE_MS = 5;
/** The original's longest caption. */
const LONGEST = 67;

/** Loading of full-size networks: time and memory. */
export async function* loadOriginal(device: Device, sizes: Sizes): AsyncGenerator<Measurement> {
  const subject = { model: sizes.name, how: "f32, values computed" };
  const [before, rss] = [device.memory().used, process.memoryUsage.rss()];
  let highest = rss;
  const sampling = setInterval(() => {
    highest = Math.max(highest, process.memoryUsage.rss());
  }, SAMPLE_MS);
  let networks!: Networks;
  const timing = await timed(
    async () => {
      networks = await loadSynthetic(device, sizes);
    },
    { warmup: 0, runs: 1 },
  ).finally(() => clearInterval(sampling));
  const weights = device.memory().used - before;
  yield time({ ...subject, what: "load" }, timing);
  yield amount({ ...subject, what: "weights on the device" }, weights / 1e6, "MB");
  // A CPU adapter's memory is the process's own; elsewhere the limit is only met more easily.
  const beyond = Math.max(0, highest - rss - weights) / 1e6;
  yield amount(
    { ...subject, what: "process memory while loading, beyond the weights", limit: LIMIT_MB.process },
    beyond,
    "MB",
  );
  yield* longestCaption(device, sizes, networks, weights);
}

/** An image to its caption, as long as captions get, at beam 5: memory beyond the weights, and time. */
async function* longestCaption(
  device: Device,
  { name: model }: Sizes,
  { vision, map, gpt2 }: Networks,
  weights: number,
) {
  const shape = { images: 1, tokens: LONGEST };
  const generator = await generatorFor(device, gpt2, beam(5), shape, (p) => {
    return mapper(p, map, clipVision(p, vision, pixelsOf(p, vision, 1)).embeds).prefix;
  });
  try {
    const timing = await timed(() => generator.run({ seed: 0 }), { warmup: 0, runs: 1 });
    const subject = { model, how: `beam 5, ${LONGEST} tokens` };
    const beyond = (device.memory().used - weights) / 1e6;
    yield time({ ...subject, what: "image to caption" }, timing);
    yield amount({ ...subject, what: "device memory beyond the weights", limit: LIMIT_MB.device }, beyond, "MB");
  } finally {
    generator.destroy();
  }
}
