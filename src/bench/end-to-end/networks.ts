import { type ClipVision, loadClipVision } from "../../models/clip.js";
import { type Gpt2, loadGpt2 } from "../../models/gpt2.js";
import { loadMapper, type Mapper } from "../../models/mapper.js";
import { WeightLoader } from "../../models/weights.js";
import type { Device } from "../../runtime/device.js";
import {
  type ClipVisionConfig,
  type Gpt2Config,
  type MapperConfig,
  parseClipConfig,
  parseGpt2Config,
} from "../../weights/config.js";
import { clipVisionShapes, gpt2Shapes, mapperShapes, type Shapes } from "../../weights/shapes.js";
import { syntheticFile } from "../../weights/synthetic.js";

export const SEED = 1;
export const PREFIX = 10;

/** Networks by their real sizes; their weights come from a formula. */
export interface Sizes {
  readonly name: string;
  readonly vision: ClipVisionConfig;
  readonly mapper: MapperConfig;
  readonly gpt2: Gpt2Config;
}

const GPT2 = "GPT-2 small";

/** The networks of the original captioner with the MLP mapper. */
export const ORIGINAL: Sizes = {
  name: `ViT-B/32, MLP, ${GPT2}; synthetic weights`,
  vision: parseClipConfig({ vision_config: {}, text_config: {} }).vision,
  mapper: { type: "mlp", prefixLength: PREFIX, clipWidth: 512, gptWidth: 768 },
  gpt2: parseGpt2Config({}),
};

/** GPT-2 in the sizes that OpenAI published, by name. */
export const GPT2_SIZES: Readonly<Record<string, Gpt2Config>> = {
  "GPT-2 small": parseGpt2Config({}),
  "GPT-2 medium": parseGpt2Config({ n_embd: 1024, n_layer: 24, n_head: 16 }),
  "GPT-2 large": parseGpt2Config({ n_embd: 1280, n_layer: 36, n_head: 20 }),
  "GPT-2 xl": parseGpt2Config({ n_embd: 1600, n_layer: 48, n_head: 25 }),
};

export interface Networks {
  readonly vision: ClipVision;
  readonly map: Mapper;
  readonly gpt2: Gpt2;
}

function loader(device: Device, shapes: Shapes, account: string): WeightLoader {
  return new WeightLoader(device, syntheticFile(shapes, "full", SEED), { dtype: "f32", account });
}

export async function loadSynthetic(device: Device, { vision, mapper, gpt2 }: Sizes): Promise<Networks> {
  const networks = {
    vision: await loadClipVision(loader(device, clipVisionShapes(vision), "clip"), vision),
    map: await loadMapper(loader(device, mapperShapes(mapper), "mapper"), mapper),
    gpt2: await loadSyntheticGpt2(device, gpt2),
  };
  await device.settle();
  await device.idle();
  return networks;
}

export function loadSyntheticGpt2(device: Device, config: Gpt2Config): Promise<Gpt2> {
  return loadGpt2(loader(device, gpt2Shapes(config), "gpt2"), config);
}

export function parametersOf(shapes: Shapes): number {
  return [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((n, d) => n * d, 1), 0);
}
