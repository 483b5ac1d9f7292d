import type { Device } from "../../runtime/device.js";
import { beam, type DecodeSubject, decodeGrowth, decodeLength, decodeSteps, GREEDY } from "./decode.js";
import { encodeImages } from "./encode.js";
import type { Measurement } from "./measurement.js";
import { GPT2_SIZES, loadSynthetic, type Networks, ORIGINAL } from "./networks.js";
import { captionLatency, captionThroughput, loadAndFirst } from "./node-caption.js";
import { loadOriginal } from "./node-original.js";
import { gpt2Sizes } from "./node-sizes.js";
import { processStart } from "./node-start.js";
import { trainingGrowth, trainingVariants } from "./training.js";

/** What is measured together, on devices that it opens and closes. */
export interface Group {
  /** What a pattern is looked for in. */
  readonly name: string;
  /** `which`: the device's name for commands that are measured (`--device`); `signal` ends those. */
  readonly measure: (open: OpenDevice, which: string, signal: AbortSignal) => AsyncGenerator<Measurement>;
}

/** Opens a device with timestamps. */
export type OpenDevice = () => Promise<Device>;

const BATCHES = [1, 2, 4, 8, 16, 32];
const BEAMS = [1, 2, 3, 5, 8, 10];
const LONG_TEXT = 240;
const TRAINING_BATCH = 8;
const GPT2_SMALL = GPT2_SIZES["GPT-2 small"]!;

/** In the order in which they are measured: loading first, while the process has no memory of others. */
export const GROUPS: readonly Group[] = [
  { name: "original: load, memory", measure: on((device) => loadOriginal(device, ORIGINAL)) },
  {
    name: "original: encode images",
    measure: full((device, n) => encodeImages(device, ORIGINAL.name, n.vision, BATCHES)),
  },
  { name: "original: decode greedy", measure: full((device, n) => decodeSteps(subject(device, n), GREEDY)) },
  { name: "original: decode beam 5", measure: full((device, n) => decodeSteps(subject(device, n), beam(5))) },
  { name: "original: decode by beams", measure: full((device, n) => decodeGrowth(subject(device, n), "beams", BEAMS)) },
  {
    name: "original: decode by images",
    measure: full((device, n) => decodeGrowth(subject(device, n), "images", BATCHES)),
  },
  { name: "original: decode by tokens", measure: full((device, n) => decodeLength(subject(device, n), LONG_TEXT)) },
  { name: "original: decode by size", measure: (open) => gpt2Sizes(open) },
  { name: "shipped: process start", measure: (_, which, signal) => processStart(which, signal) },
  { name: "shipped: load, first caption", measure: on(loadAndFirst) },
  { name: "shipped: caption greedy", measure: on((device) => captionLatency(device, 1)) },
  { name: "shipped: caption beam 5", measure: on((device) => captionLatency(device, 5)) },
  { name: "shipped: captions by batch", measure: on((device) => captionThroughput(device, BATCHES)) },
  { name: "training: step by variant", measure: (open) => trainingVariants(open, GPT2_SMALL, TRAINING_BATCH) },
  {
    name: "training: step by batch",
    measure: on((device) => trainingGrowth(device, GPT2_SMALL, { mapper: "mlp", finetuned: false }, BATCHES)),
  },
];

/** Groups whose names have all words of the pattern. */
export function groupsMatching(pattern: string): Group[] {
  const words = pattern.toLowerCase().split(/\s+/);
  return GROUPS.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
}

function on(measure: (device: Device) => AsyncGenerator<Measurement>): Group["measure"] {
  return async function* (open) {
    const device = await open();
    try {
      yield* measure(device);
    } finally {
      device.close();
    }
  };
}

function full(measure: (device: Device, networks: Networks) => AsyncGenerator<Measurement>): Group["measure"] {
  return on(async function* (device) {
    yield* measure(device, await loadSynthetic(device, ORIGINAL));
  });
}

function subject(device: Device, { gpt2, map }: Networks): DecodeSubject {
  return { device, model: ORIGINAL.name, gpt2, map };
}
