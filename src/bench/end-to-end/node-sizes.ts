import { freemem } from "node:os";
import type { Device } from "../../runtime/device.js";
import type { Gpt2Config } from "../../weights/config.js";
import { gpt2Shapes } from "../../weights/shapes.js";
import { GREEDY, generatorFor, plainPrefix, timeSteps } from "./decode.js";
import { amount, type Measurement, type Place, time } from "./measurement.js";
import { GPT2_SIZES, loadSyntheticGpt2, PREFIX, parametersOf } from "./networks.js";

/** A model may take so long with its weights, which a formula gives; so much of the memory that is free. */
const LONGEST_MS = 60_000;
const MEMORY_SHARE = 0.6;
const TOKENS = 6;

/** GPT-2 from small to xl, one after the other, each on a device of its own. */
export async function* gpt2Sizes(
  open: () => Promise<Device>,
  sizes: Readonly<Record<string, Gpt2Config>> = GPT2_SIZES,
): AsyncGenerator<Measurement> {
  let perParameter = 0;
  for (const [name, config] of Object.entries(sizes)) {
    const parameters = parametersOf(gpt2Shapes(config));
    if (perParameter * parameters > LONGEST_MS) return;
    const start = performance.now();
    const device = await open();
    try {
      // Elsewhere the device itself says when it is full.
      if (device.adapter.isCpu && 4 * parameters > MEMORY_SHARE * freemem()) return;
      yield* measureSize(device, name, config, parameters);
    } finally {
      device.close();
    }
    perParameter = (performance.now() - start) / parameters;
  }
}

async function* measureSize(device: Device, name: string, config: Gpt2Config, parameters: number) {
  const gpt2 = await loadSyntheticGpt2(device, config);
  const generator = await generatorFor(
    device,
    gpt2,
    GREEDY,
    { images: 1, tokens: TOKENS },
    plainPrefix(device, gpt2, 1),
  );
  const { first, step } = await timeSteps(generator, 2);
  const model = `${name}; synthetic weights`;
  const how = `greedy, 1 image, ${PREFIX} + ${TOKENS} tokens`;
  const at = (line: string): Place => ({ axis: "million parameters", x: Math.round(parameters / 1e6), line });
  yield time({ what: "prefill, first token", model, how, place: at("GPT-2") }, first);
  yield time({ what: "decode step", model, how, place: at("GPT-2") }, step);
  yield amount({ what: "peak of device memory", model, how, place: at("GPT-2") }, device.memory().peak / 1e6, "MB");
}
