import { ClipCapError } from "../runtime/errors.js";
import { type ClipConfig, type Gpt2Config, type MapperConfig, parseClipConfig, parseGpt2Config } from "./config.js";
import { type ModelFolder, missing, openTensors, readJson, subfolder } from "./folder.js";
import { Fields, type JsonObject } from "./json-fields.js";
import {
  canonicalNames,
  describeMapper,
  isMapperName,
  refuseOtherLayers,
  requireShapes,
  selectTensors,
} from "./names.js";
import { clipVisionShapes, gpt2Shapes } from "./shapes.js";
import type { TensorFile } from "./tensor-file.js";

/** The names under which weights are looked for, best first. */
export const WEIGHT_FILES = ["model.safetensors", "pytorch_model.bin"] as const;

/** Files of a Hugging Face folder that travel with its weights: how text and pictures go in. */
export const COMPANIONS = [
  "config.json",
  "preprocessor_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "vocab.json",
  "merges.txt",
] as const;

/** clipcap.json, the description of a model folder (docs/facts.md 10). */
export interface Manifest {
  readonly name: string;
  /** Folders of the two Hugging Face models, relative to clipcap.json. */
  readonly clip: string;
  readonly gpt2: string;
  /** Whether the embedding is divided by its length before the mapper. */
  readonly normalizePrefix: boolean;
  /** Tokens that end a caption, where the folder names them. */
  readonly stopTokens: readonly number[] | undefined;
  readonly license: string | undefined;
  readonly trainedOn: string | undefined;
  /** What clipcap.json says about the mapper, to be compared with its tensors. */
  readonly mapper: {
    readonly type: MapperConfig["type"];
    readonly prefixLength: number;
    readonly clipLength: number | undefined;
    readonly layers: number | undefined;
  };
}

/** A part of a model: its configuration and its tensors, under canonical names. */
export interface Part<Config> {
  readonly config: Config;
  readonly weights: TensorFile;
  /** Where its other files (tokenizer, preprocessing) are. */
  readonly folder: ModelFolder;
}

export interface ModelFiles {
  readonly manifest: Manifest;
  readonly clip: Part<ClipConfig>;
  readonly gpt2: Part<Gpt2Config>;
  readonly mapper: { readonly config: MapperConfig; readonly weights: TensorFile };
}

/** Checks the content of clipcap.json. @throws ClipCapError `bad-weights` naming the field. */
export function parseManifest(json: JsonObject, file = "clipcap.json"): Manifest {
  const fields = new Fields(file, json);
  if (fields.int("format") !== 1) throw fields.error("format", "1, the only one this version reads");
  const mapper = fields.object("mapper");
  const optional = (key: string) =>
    (mapper.values[key] ?? undefined) === undefined ? undefined : mapper.int(key, undefined, 1, 1000);
  return {
    name: fields.text("name") ?? "unnamed",
    clip: relativePath(fields, "clip"),
    gpt2: relativePath(fields, "gpt2"),
    normalizePrefix: mapper.bool("normalize_prefix", false),
    stopTokens: stopTokens(fields),
    license: fields.text("license"),
    trainedOn: fields.text("trained_on"),
    mapper: {
      type: mapper.word("type", ["mlp", "transformer"]),
      prefixLength: mapper.int("prefix_length", undefined, 1, 1000),
      clipLength: optional("clip_length"),
      layers: optional("num_layers"),
    },
  };
}

/** What `parseManifest` reads, of a model folder with its networks in "clip" and "gpt2". */
export function manifestJson(description: JsonObject, mapper: MapperConfig, normalizePrefix: boolean): JsonObject {
  const transformer =
    mapper.type === "transformer" ? { clip_length: mapper.clipLength, num_layers: mapper.layers } : {};
  return {
    format: 1,
    ...description,
    clip: "clip",
    gpt2: "gpt2",
    mapper: {
      type: mapper.type,
      prefix_length: mapper.prefixLength,
      ...transformer,
      normalize_prefix: normalizePrefix,
    },
  };
}

/** The description of a model folder. @throws ClipCapError `not-found`, `bad-weights` */
export async function readManifest(folder: ModelFolder): Promise<Manifest> {
  return parseManifest(await readJson(folder, "clipcap.json"), `${folder.name}/clipcap.json`);
}

/** A folder inside the model folder: a description from elsewhere must not point at other files of this machine. */
function relativePath(fields: Fields, key: string): string {
  const path = fields.text(key) ?? key;
  if (!/^[\w.-]+(\/[\w.-]+)*$/.test(path) || path.split("/").includes("..")) {
    throw fields.error(key, "a folder inside the model folder");
  }
  return path;
}

function stopTokens(fields: Fields): readonly number[] | undefined {
  const value = fields.values.stop_tokens ?? undefined;
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length > 1000 || !value.every((id) => Number.isSafeInteger(id) && id >= 0)) {
    throw fields.error("stop_tokens", "a list of token ids");
  }
  return value as number[];
}

/** Opens a CLIP folder in the Hugging Face layout; the vision tower must be complete, the text tower may be absent. */
export async function openClip(folder: ModelFolder): Promise<Part<ClipConfig>> {
  const config = parseClipConfig(await readJson(folder, "config.json"), `${folder.name}/config.json`);
  const weights = await openWeights(folder);
  const shapes = clipVisionShapes(config.vision);
  requireShapes(weights, shapes);
  refuseOtherLayers(weights, shapes);
  return { config, weights, folder };
}

/** Opens a GPT-2 folder in the Hugging Face layout. */
export async function openGpt2(folder: ModelFolder): Promise<Part<Gpt2Config>> {
  const config = parseGpt2Config(await readJson(folder, "config.json"), `${folder.name}/config.json`);
  const weights = await openWeights(folder);
  const shapes = gpt2Shapes(config);
  requireShapes(weights, shapes);
  refuseOtherLayers(weights, shapes);
  return { config, weights, folder };
}

/** The weights of a Hugging Face folder, under canonical names. */
export async function openWeights(folder: ModelFolder): Promise<TensorFile> {
  for (const path of WEIGHT_FILES) {
    if (await folder.has(path)) return canonicalNames(await openTensors(await folder.open(path)));
  }
  throw missing(folder.name, WEIGHT_FILES.join(" or "));
}

/**
 * Opens a model folder and checks that its parts fit together: every tensor is there with the shape its configuration
 * gives, the mapper takes CLIP's embedding and gives GPT-2's. Reads headers only.
 * @throws ClipCapError `not-found`, `bad-weights`
 */
export async function openModel(folder: ModelFolder): Promise<ModelFiles> {
  const manifest = await readManifest(folder);
  const clip = await openClip(subfolder(folder, manifest.clip));
  const gpt2 = await openGpt2(subfolder(folder, manifest.gpt2));
  const all = await canonicalNames(await openTensors(await folder.open("mapper.safetensors")));
  const weights = selectTensors(all, (name) => isMapperName(name));
  const config = describeMapper(weights, gpt2.config.width);
  checkManifest(folder.name, manifest, config);
  checkFit(folder.name, config, clip.config, gpt2.config);
  return { manifest, clip, gpt2, mapper: { config, weights } };
}

/** clipcap.json must describe the mapper that mapper.safetensors holds. */
function checkManifest(folder: string, { mapper: said }: Manifest, found: MapperConfig): void {
  const differ = (what: string, a: unknown, b: unknown) => {
    if (a === b) return;
    throw new ClipCapError(
      "bad-weights",
      `${folder}: clipcap.json says ${what} ${a}, but mapper.safetensors has ${b}.`,
    );
  };
  differ("mapper type", said.type, found.type);
  differ("prefix_length", said.prefixLength, found.prefixLength);
  if (found.type !== "transformer") return;
  differ("clip_length", said.clipLength ?? found.clipLength, found.clipLength);
  differ("num_layers", said.layers ?? found.layers, found.layers);
}

/** The mapper must take what CLIP gives and give what GPT-2 takes; the commonest mix-up is 512 against 640. */
export function checkFit(where: string, mapper: MapperConfig, clip: ClipConfig, gpt2: Gpt2Config): void {
  if (mapper.clipWidth !== clip.vision.projection) {
    throw new ClipCapError(
      "bad-weights",
      `${where}: the mapper takes embeddings of ${mapper.clipWidth} values, but this CLIP gives ${clip.vision.projection}; use the CLIP it was trained with (512: ViT-B/32 or ViT-B/16, 768: ViT-L/14, 640: RN50x4, which is not supported).`,
    );
  }
  if (mapper.gptWidth !== gpt2.width) {
    throw new ClipCapError(
      "bad-weights",
      `${where}: the mapper gives vectors of ${mapper.gptWidth} channels, but this GPT-2 has ${gpt2.width}; use the GPT-2 it was trained with.`,
    );
  }
  if (mapper.prefixLength >= gpt2.positions) {
    throw new ClipCapError(
      "bad-weights",
      `${where}: a prefix of ${mapper.prefixLength} vectors leaves no room for text in GPT-2's ${gpt2.positions} positions.`,
    );
  }
}
