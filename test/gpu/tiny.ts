/** The tiny models of the goldens, on a device. */
import { loadClipVision } from "../../src/models/clip.js";
import { Generator, type GeneratorShape } from "../../src/models/generate.js";
import { type Gpt2, loadGpt2 } from "../../src/models/gpt2.js";
import { loadMapper, type Mapper, mapper } from "../../src/models/mapper.js";
import { WeightLoader } from "../../src/models/weights.js";
import type { Device } from "../../src/runtime/device.js";
import type { Tensor } from "../../src/runtime/tensor.js";
import { type MapperConfig, parseClipConfig, parseGpt2Config } from "../../src/weights/config.js";
import { canonicalNames } from "../../src/weights/names.js";
import { goldenJson, goldenTensors } from "../goldens.js";

export type MapperType = MapperConfig["type"];

export const TINY = { prefix: 4, clipWidth: 48, width: 64, vocab: 211, context: 48 } as const;

export interface TinyCaptioner {
  readonly gpt2: Gpt2;
  readonly map: Mapper;
}

const options = { dtype: "f32", account: "tiny" } as const;

/** `trained`: the weights after the 12 updates of the golden training run. */
export async function tinyCaptioner(device: Device, type: MapperType, weights = "initial"): Promise<TinyCaptioner> {
  const path =
    weights === "initial"
      ? [`tiny-clipcap-${type}`, "model.safetensors"]
      : [`train_${type}_finetune_hf2021.safetensors`];
  const loader = new WeightLoader(device, await canonicalNames(await goldenTensors("tiny", ...path)), options);
  const common = { prefixLength: TINY.prefix, clipWidth: TINY.clipWidth, gptWidth: TINY.width };
  const config: MapperConfig =
    type === "mlp" ? { type, ...common } : { type, ...common, clipLength: 3, layers: 2, heads: 8 };
  const map = await loadMapper(loader, config);
  return { map, gpt2: await loadGpt2(loader, parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json"))) };
}

export async function tinyVision(device: Device) {
  const file = await canonicalNames(await goldenTensors("tiny", "tiny-clip", "model.safetensors"));
  const config = parseClipConfig(goldenJson("tiny", "tiny-clip", "config.json"));
  return loadClipVision(new WeightLoader(device, file, options), config.vision);
}

const GREEDY: Omit<GeneratorShape, "images"> = {
  width: 1,
  prompt: [],
  maxTokens: 20,
  stop: [13],
  strategy: { type: "greedy" },
  repetitionPenalty: 1,
  noRepeatNgram: 0,
};

/** A generator over CLIP embeddings; greedy, 20 tokens, stop token 13 unless `shape` says otherwise. */
export async function tinyGenerator(
  device: Device,
  { gpt2, map }: TinyCaptioner,
  shape: Partial<GeneratorShape> = {},
): Promise<{ readonly generator: Generator; readonly clip: Tensor }> {
  let clip!: Tensor;
  const whole = { ...GREEDY, images: 1, ...shape };
  const generator = await Generator.create(device, gpt2, TINY.prefix, whole, (p) => {
    clip = p.persistent("clip", [whole.images, TINY.clipWidth]);
    return mapper(p, map, clip).prefix;
  });
  return { generator, clip };
}
