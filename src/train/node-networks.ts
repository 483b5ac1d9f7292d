import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { type Preprocessing, parsePreprocessorConfig } from "../data/image/preprocess.js";
import { sceneTokenizer } from "../data/scenes/tokenizer.js";
import type { Tokenizer } from "../data/tokenizer.js";
import { readClipTokenizer, readTokenizer } from "../data/tokenizer-folder.js";
import { modelFolder } from "../node/model.js";
import { ClipCapError } from "../runtime/errors.js";
import {
  type ClipConfig,
  type Gpt2Config,
  MAPPER_HEADS,
  type MapperConfig,
  parseClipConfig,
  parseGpt2Config,
} from "../weights/config.js";
import { type ModelFolder, mapFolder, readJson, subfolder } from "../weights/folder.js";
import type { JsonObject } from "../weights/json-fields.js";
import { COMPANIONS, openClip, openGpt2, openModel, readManifest } from "../weights/model-files.js";
import { nodeFolder } from "../weights/node-folder.js";
import { clipVisionShapes } from "../weights/shapes.js";
import type { TensorFile } from "../weights/tensor-file.js";
import type { NetworkChoice, TrainConfig } from "./config.js";
import { initialClip, initialGpt2, initialMapper } from "./initial.js";

/** A network and all that a model folder needs of it besides its weights. */
export interface Network<Config> {
  readonly config: Config;
  readonly file: TensorFile;
  readonly tokenizer: Tokenizer;
  /** Files of its folder: config.json, the tokenizer's, preprocessor_config.json. */
  readonly companions: ReadonlyMap<string, Uint8Array>;
}

export interface Networks {
  readonly clip: Network<ClipConfig> & { readonly preprocessing: Preprocessing };
  readonly gpt2: Network<Gpt2Config>;
  readonly mapper: { readonly config: MapperConfig; readonly file: TensorFile };
  /** Closes what was opened. */
  close(): Promise<void>;
}

/** Where the data, or a tokenizer, is that of the drawn scenes. */
export const SCENES = "scenes";
/** "model_max_length" of their tokenizer: a caption has at most 19 tokens. */
const SCENE_POSITIONS = 32;

/** A vocabulary is rounded up to whole vectors of rows; the spare tokens never occur. */
const VOCABULARY_STEP = 64;

/**
 * Opens or makes the networks of a run. Nothing of their weights is read yet.
 * @throws ClipCapError `not-found`, `bad-weights`, `bad-usage`
 */
export async function openNetworks(c: TrainConfig): Promise<Networks> {
  const opened: ModelFolder[] = [];
  const open = async (path: string, part: "clip" | "gpt2") => {
    const folder = await networkFolder(path, part);
    opened.push(folder);
    return folder;
  };
  try {
    const clip = await clipOf(c, open);
    const gpt2 = await gpt2Of(c, open);
    const mapper = await mapperOf(c, clip.config, gpt2.config, opened);
    checkPrefix(mapper.config, gpt2.config);
    return {
      clip,
      gpt2,
      mapper,
      close: async () => void (await Promise.all(opened.map((folder) => folder.close()))),
    };
  } catch (error) {
    await Promise.all(opened.map((folder) => folder.close()));
    throw error;
  }
}

type Open = (path: string, part: "clip" | "gpt2") => Promise<ModelFolder>;

/** A Hugging Face folder, or the part of a model folder (by path, or a shipped one's name). */
async function networkFolder(path: string, part: "clip" | "gpt2"): Promise<ModelFolder> {
  if (existsSync(path) && !existsSync(`${path}/clipcap.json`)) return nodeFolder(path);
  const model = await modelFolder(path);
  const manifest = await readManifest(model);
  return { ...subfolder(model, manifest[part]), close: () => model.close() };
}

async function clipOf(c: TrainConfig, open: Open): Promise<Networks["clip"]> {
  if ("folder" in c.clip) {
    const folder = await open(c.clip.folder, "clip");
    const { config, weights } = await openClip(folder);
    const preprocessor = await readJson(folder, "preprocessor_config.json");
    return {
      config,
      file: weights,
      tokenizer: await readClipTokenizer(folder),
      companions: await companionsOf(folder),
      preprocessing: parsePreprocessorConfig(preprocessor, `${folder.name}/preprocessor_config.json`),
    };
  }
  const texts = await textsOf(c.clip, "clip", open);
  const end = endId(texts.tokenizer);
  const start = texts.tokenizer.idOf("<|startoftext|>") ?? end;
  const text = (c.clip.config.text_config ?? {}) as JsonObject;
  const json = {
    model_type: "clip",
    ...c.clip.config,
    text_config: { vocab_size: texts.vocab, bos_token_id: start, eos_token_id: end, pad_token_id: end, ...text },
  };
  const config = parseClipConfig(json, "networks: clip: config");
  checkVocabulary("clip", config.text.vocab, texts.tokenizer);
  const { imageSize } = config.vision;
  const preprocessor = {
    image_processor_type: "CLIPImageProcessor",
    size: { height: imageSize, width: imageSize },
    do_center_crop: false,
    resample: 3,
  };
  return {
    config,
    file: initialClip(config, c.seed, c.clip.initial),
    tokenizer: texts.tokenizer,
    companions: new Map([
      ...texts.companions,
      jsonFile("config.json", json),
      jsonFile("preprocessor_config.json", preprocessor),
    ]),
    preprocessing: parsePreprocessorConfig(preprocessor),
  };
}

async function gpt2Of(c: TrainConfig, open: Open): Promise<Network<Gpt2Config>> {
  if ("folder" in c.gpt2) {
    const folder = await open(c.gpt2.folder, "gpt2");
    const { config, weights } = await openGpt2(folder);
    const tokenizer = await readTokenizer(folder);
    return { config, file: weights, tokenizer, companions: await companionsOf(folder) };
  }
  const texts = await textsOf(c.gpt2, "gpt2", open);
  const end = endId(texts.tokenizer);
  const json = {
    model_type: "gpt2",
    vocab_size: texts.vocab,
    bos_token_id: end,
    eos_token_id: end,
    ...c.gpt2.config,
  };
  const config = parseGpt2Config(json, "networks: gpt2: config");
  checkVocabulary("gpt2", config.vocab, texts.tokenizer);
  const companions = new Map([...texts.companions, jsonFile("config.json", json)]);
  return { config, file: initialGpt2(config, c.seed), tokenizer: texts.tokenizer, companions };
}

/** The tokenizer of an untrained network. */
async function textsOf(choice: NetworkChoice & { tokenizer: string | undefined }, part: "clip" | "gpt2", open: Open) {
  const { tokenizer: path } = choice;
  if (path === undefined) {
    throw new ClipCapError(
      "bad-usage",
      `networks: ${part}: an untrained network needs "tokenizer", a folder with a tokenizer.json, or "scenes"`,
    );
  }
  const folder = path === SCENES ? sceneTokenizerFolder() : await open(path, part);
  const tokenizer = await (part === "clip" ? readClipTokenizer : readTokenizer)(folder);
  const companions = await companionsOf(folder);
  for (const name of ["config.json", "preprocessor_config.json"]) companions.delete(name); // another network's
  return { tokenizer, companions, vocab: VOCABULARY_STEP * Math.ceil(tokenizer.vocabSize / VOCABULARY_STEP) };
}

/** The tokenizer of the drawn scenes, which comes from no file. */
function sceneTokenizerFolder(): ModelFolder {
  const { tokenizer, config } = sceneTokenizer(SCENE_POSITIONS);
  return mapFolder(
    "the tokenizer of scenes",
    new Map([jsonFile("tokenizer.json", tokenizer), jsonFile("tokenizer_config.json", config)]),
  );
}

function endId(tokenizer: Tokenizer): number {
  const id = tokenizer.idOf("<|endoftext|>");
  if (id !== undefined) return id;
  throw new ClipCapError("bad-weights", "the tokenizer has no <|endoftext|>; an untrained network needs one that has");
}

function checkVocabulary(part: string, vocab: number, { vocabSize }: Tokenizer): void {
  if (vocab >= vocabSize) return;
  throw new ClipCapError(
    "bad-usage",
    `networks: ${part}: "vocab_size" ${vocab} is less than the tokenizer's ${vocabSize}; leave it out`,
  );
}

async function mapperOf(
  c: TrainConfig,
  clip: ClipConfig,
  gpt2: Gpt2Config,
  opened: ModelFolder[],
): Promise<Networks["mapper"]> {
  const { type, prefixLength, clipLength, layers, from } = c.mapper;
  if (from !== undefined) {
    const folder = await modelFolder(from);
    opened.push(folder);
    const { mapper } = await openModel(folder);
    const { clipWidth, gptWidth } = mapper.config;
    if (clipWidth !== clip.vision.projection || gptWidth !== gpt2.width) {
      throw new ClipCapError(
        "bad-usage",
        `the mapper of ${from} leads from ${clipWidth} values to GPT-2's width of ${gptWidth}, but this CLIP gives ` +
          `${clip.vision.projection} and this GPT-2 has ${gpt2.width}; name the networks it belongs to`,
      );
    }
    return { config: mapper.config, file: mapper.weights };
  }
  const sizes = { prefixLength, clipWidth: clip.vision.projection, gptWidth: gpt2.width };
  const config: MapperConfig =
    type === "mlp" ? { type, ...sizes } : { type, ...sizes, clipLength, layers, heads: MAPPER_HEADS };
  if (type === "transformer" && gpt2.width % MAPPER_HEADS !== 0) {
    throw new ClipCapError(
      "bad-usage",
      `a transformer mapper has ${MAPPER_HEADS} heads, which do not divide GPT-2's width of ${gpt2.width}; use the mlp`,
    );
  }
  return { config, file: initialMapper(config, c.seed) };
}

function checkPrefix({ prefixLength }: MapperConfig, { positions }: Gpt2Config): void {
  if (prefixLength + 1 < positions) return;
  throw new ClipCapError(
    "bad-usage",
    `a prefix of ${prefixLength} leaves no room for captions in GPT-2's ${positions} positions; make it shorter`,
  );
}

async function companionsOf(folder: ModelFolder): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of COMPANIONS) {
    if (!(await folder.has(name))) continue;
    const source = await folder.open(name);
    files.set(name, await source.read(0, source.size));
  }
  return files;
}

function jsonFile(name: string, value: unknown): [string, Uint8Array] {
  return [name, new TextEncoder().encode(`${JSON.stringify(value, null, 1)}\n`)];
}

/** Names the vision tower by its values and its preprocessing: what cached embeddings go by. */
export async function visionFingerprint({ config, file, preprocessing }: Networks["clip"]): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([config.vision, preprocessing]));
  for (const name of clipVisionShapes(config.vision).keys()) hash.update(await file.readBytes(name));
  return hash.digest("hex");
}
