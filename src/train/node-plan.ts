import type { Device } from "../runtime/device.js";
import { elements } from "../runtime/tensor.js";
import { elementCount, type TensorFile, tensorInfo } from "../weights/tensor-file.js";
import type { TrainConfig } from "./config.js";
import type { ImageInput } from "./images.js";
import { PARTS, type PartName } from "./model.js";
import type { TrainingData } from "./node-data.js";
import { Encoder } from "./node-embed.js";
import type { Networks } from "./node-networks.js";
import { trainingParts } from "./node-parts.js";
import { Training } from "./training.js";

/** What a run will take, known before it begins. */
export interface RunPlan {
  /** Numbers of values by part. Frozen CLIP takes none: its embeddings are computed before. */
  readonly parameters: Readonly<Record<PartName, { readonly trained: number; readonly frozen: number }>>;
  /** Bytes on the device by what they are for, and at most in all. */
  readonly bytes: Readonly<Record<string, number>>;
  readonly peakBytes: number;
  /** Arithmetic of one update with the longest captions, and updates in all. */
  readonly stepFlops: number;
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly examples: { readonly train: number; readonly dev: number };
  /** Captions that are longer than GPT-2 has positions for; they are cut. */
  readonly cut: number;
}

/**
 * Goes through embedding, the programs of all shapes, the reading back of all parameters, two updates and validation on a
 * device that only counts (`planningDevice`), so the numbers are those of the code that trains.
 */
export async function planRun(
  device: Device,
  config: TrainConfig,
  networks: Networks,
  data: TrainingData,
): Promise<RunPlan> {
  const empty = unread(networks);
  const { projection, imageSize } = networks.clip.config.vision;
  const clipTrained = config.train.includes("clip");
  const input = emptyInput(clipTrained ? [3, imageSize, imageSize] : [projection]);
  if (!clipTrained && !data.embeddings) await planEmbedding(device, empty.clip);
  const parts = trainingParts(config, empty, data, { train: input, dev: input });
  const training = await Training.create(device, parts);
  const { byLabel } = device.memory();
  const underway = [await training.submit(0), await training.submit(1)]; // as in a run, where two wait for their results
  for (const { pending } of underway) await pending.result();
  await training.validate();
  await training.captionsOf(training.devImages());
  const { peak, byLabel: after } = device.memory();
  const plan = {
    parameters: parameterCounts(training),
    bytes: { ...byLabel, staging: after.staging ?? 0 },
    peakBytes: peak,
    stepFlops: training.trainer.flops * (config.batch / config.microBatch),
    steps: training.totalSteps,
    stepsPerEpoch: training.order.stepsPerEpoch,
    examples: { train: data.train.length, dev: data.dev.length },
    cut: parts.cut,
  };
  training.free();
  return plan;
}

/** Stands for pictures that are not read, since some of them may not be readable. */
function emptyInput(shape: readonly number[]): ImageInput {
  const values = new Float32Array(shape.reduce((n, d) => n * d, 1));
  return { shape, values: async () => values };
}

async function planEmbedding(device: Device, clip: Networks["clip"]): Promise<void> {
  const encoder = await Encoder.create(device, clip);
  const { imageSize } = clip.config.vision;
  await encoder.embed([new Float32Array(3 * imageSize * imageSize)]);
  encoder.free();
}

/** The same networks whose values are zero instead of read. */
function unread(networks: Networks): Networks {
  return {
    ...networks,
    clip: { ...networks.clip, file: zeros(networks.clip.file) },
    gpt2: { ...networks.gpt2, file: zeros(networks.gpt2.file) },
    mapper: { ...networks.mapper, file: zeros(networks.mapper.file) },
  };
}

function zeros(file: TensorFile): TensorFile {
  return {
    ...file,
    readF32: async (name, { rows } = {}) => {
      const { shape } = tensorInfo(file, name);
      const count = elementCount(shape)!;
      return new Float32Array(rows ? (count / shape[0]!) * (rows[1] - rows[0]) : count);
    },
  };
}

function parameterCounts({ model, parts }: Training): RunPlan["parameters"] {
  const counts = PARTS.map((part) => {
    const loaded = model.loaded.get(part) ?? [];
    const count = loaded.reduce((n, { tensor }) => n + elements(tensor.shape), 0);
    const trained = parts.config.train.includes(part);
    return [part, { trained: trained ? count : 0, frozen: trained ? 0 : count }];
  });
  return Object.fromEntries(counts);
}
