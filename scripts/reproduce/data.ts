import type { Screen } from "../../src/cli/screen.js";
import { stopSignal } from "../../src/cli/stop.js";
import type { CaptionedImage } from "../../src/data/captions/dataset.js";
import { openDataset } from "../../src/data/captions/node-open.js";
import { AS_WRITTEN } from "../../src/data/captions/normalise.js";
import { sceneDataset } from "../../src/data/scenes/dataset.js";
import type { Device } from "../../src/runtime/device.js";
import { ClipCapError } from "../../src/runtime/errors.js";
import type { TrainConfig } from "../../src/train/config.js";
import { filterData, openTrainingData, type TrainingData } from "../../src/train/node-data.js";
import { type Embeddings, embedPictures } from "../../src/train/node-embed.js";
import { openNetworks, SCENES } from "../../src/train/node-networks.js";
import type { Experiment } from "./experiment.js";

/** The pictures of an experiment. */
export interface Pictures {
  readonly training: TrainingData;
  /** Captions as people wrote them. */
  readonly test: readonly CaptionedImage[];
}

/** And what CLIP, which never learns in it, sees in them. */
export interface Material extends Pictures {
  readonly embeddings: Embeddings;
}

/**
 * Opens the data that all arms share.
 * @throws ClipCapError `bad-input` where a split is missing; as opening a data set does
 */
export async function openPictures({ arms, test: count }: Experiment): Promise<Pictures> {
  const { config } = arms[0]!;
  const [training, test] = [await openTrainingData(config), await openTest(config, count)];
  for (const [split, { length }] of Object.entries({ train: training.train, dev: training.dev, test })) {
    if (length > 0) continue;
    throw new ClipCapError(
      "bad-input",
      `${config.data.source} has no pictures of the split ${split}; give data with all three`,
    );
  }
  return { training, test };
}

/** Embeds the pictures, or takes their embeddings from the cache. Unreadable pictures are left out. */
export async function embedAll(device: Device, { arms }: Experiment, { training, test }: Pictures, screen: Screen) {
  const { config } = arms[0]!;
  const networks = await openNetworks(config);
  try {
    const images = [...training.train, ...training.dev, ...test];
    const embeddings = await embedPictures(
      device,
      networks.clip,
      images,
      (image, error) => screen.note(`${image.id} is left out: ${error.message}`),
      {
        data: config.data,
        signal: stopSignal,
        onProgress: (done, total) => screen.progress("embedding the pictures, once for all variants", done, total),
      },
    );
    const readable = ({ id }: CaptionedImage) => embeddings.has(id);
    return { training: filterData(training, readable), test: test.filter(readable), embeddings } satisfies Material;
  } finally {
    await networks.close();
  }
}

async function openTest({ data, seed }: TrainConfig, count: number): Promise<readonly CaptionedImage[]> {
  if (data.source === SCENES) {
    return sceneDataset({ seed, size: data.scenes.size, train: 0, dev: 0, test: count }).images;
  }
  const { images, format, rawOrientation } = data;
  const set = await openDataset(data.source, { images, format, rawOrientation, normalise: AS_WRITTEN });
  return set.images.filter(({ split }) => split === "test").slice(0, count);
}
