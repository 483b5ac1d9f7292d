// What is compared with what: the original's two variants and the two crossed ones, on three sets of data.
import { configFrom } from "../../src/cli/train-config.js";
import { ClipCapError } from "../../src/runtime/errors.js";
import { parseTrainConfig, type TrainConfig } from "../../src/train/config.js";
import type { JsonObject } from "../../src/weights/json-fields.js";

export const VARIANTS = {
  "mlp-tuned": { mapper: "mlp", tuned: true, title: "MLP, GPT-2 fine-tuned" },
  "mlp-frozen": { mapper: "mlp", tuned: false, title: "MLP, GPT-2 frozen" },
  "transformer-tuned": { mapper: "transformer", tuned: true, title: "transformer, GPT-2 fine-tuned" },
  "transformer-frozen": { mapper: "transformer", tuned: false, title: "transformer, GPT-2 frozen" },
} as const;
export type VariantName = keyof typeof VARIANTS;

/** One variant of an experiment: its configuration as it is written and as it was checked. */
export interface Arm {
  readonly variant: VariantName;
  readonly json: JsonObject;
  readonly config: TrainConfig;
}

export interface Experiment {
  /** Of files and folders. */
  readonly name: ExperimentName;
  readonly arms: readonly Arm[];
  /** Pictures of the test split that are captioned. */
  readonly test: number;
  /** Photos and captions of the data may not be passed on: the page shows the models' own captions alone. */
  readonly confidential: boolean;
  /** Nothing of it is real: a dry run. */
  readonly madeUp: boolean;
}

export const EXPERIMENTS = ["scenes", "flickr8k", "coco"] as const;
export type ExperimentName = (typeof EXPERIMENTS)[number];

/** What the command line decides. */
export interface Wishes {
  readonly data?: string;
  readonly images?: string;
  readonly clip?: string;
  readonly gpt2?: string;
  readonly epochs?: number;
  readonly dryRun?: boolean;
}

/** COCO's Karpathy split has 5,000; scenes are drawn in any number. */
const TEST_PICTURES = { scenes: 1000, flickr8k: 1000, coco: 5000 };
/** Of a dry run. */
const FEW = 8;

/** The configurations of all variants, from recipes/. @throws ClipCapError `bad-usage`, `not-found` */
export async function experiment(name: ExperimentName, wishes: Wishes): Promise<Experiment> {
  const madeUp = wishes.dryRun ?? false;
  const arms = name === "coco" ? await paperArms(wishes) : await crossedArms(name, wishes);
  return {
    name,
    arms: madeUp ? arms.map((arm) => shortened(arm, name === "coco")) : arms,
    test: madeUp ? FEW : TEST_PICTURES[name],
    confidential: name !== "scenes",
    madeUp,
  };
}

/** All four with the same recipe but for the mapper and what learns. */
async function crossedArms(name: "scenes" | "flickr8k", { data, images, epochs }: Wishes): Promise<Arm[]> {
  const source = name === "flickr8k" ? { data, images } : {};
  return Promise.all(
    Object.entries(VARIANTS).map(async ([variant, { mapper, tuned }]) => {
      const flags = { config: `reproduce-${name}`, ...source, epochs, mapper, finetuneGpt2: tuned };
      return { variant: variant as VariantName, ...(await configFrom(flags)) };
    }),
  );
}

/** The paper's two, with the recipes that stand for them. */
async function paperArms({ data, images, clip, gpt2, epochs }: Wishes): Promise<Arm[]> {
  if (data === undefined || clip === undefined || gpt2 === undefined) {
    throw new ClipCapError(
      "bad-usage",
      "--full-size needs --data (dataset_coco.json), --images, --clip and --gpt2, the folders that clipcap fetch prints",
    );
  }
  const recipes = { "mlp-tuned": "coco-mlp", "transformer-frozen": "coco-transformer" } as const;
  return Promise.all(
    Object.entries(recipes).map(async ([variant, config]) => {
      return { variant: variant as VariantName, ...(await configFrom({ config, data, images, clip, gpt2, epochs })) };
    }),
  );
}

/**
 * The same with two updates and few pictures. At full size an update takes 16 captions and not 40, eight at once, which
 * keeps it below 2 GB, and there is one look and one checkpoint (3 GB), so that all of it takes minutes.
 */
function shortened({ variant, json }: Arm, fullSize: boolean): Arm {
  const { epochs: _, ...rest } = json;
  const data = json.data as JsonObject;
  const short = {
    ...rest,
    steps: 2,
    ...(fullSize && { batch: 16, micro_batch: 8 }),
    data: data.source === "scenes" ? { ...data, scenes: { train: 60, dev: FEW } } : data,
    evaluate: { ...(json.evaluate as JsonObject), every: fullSize ? 2 : 1, images: FEW },
    checkpoint_every: fullSize ? 0 : 1,
  };
  return { variant, json: short, config: parseTrainConfig(short, "the dry run") };
}
