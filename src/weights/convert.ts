import { stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import { type Gpt2Config, parseGpt2Config } from "./config.js";
import { type ModelFolder, openTensors, readJson } from "./folder.js";
import {
  COMPANIONS,
  checkFit,
  type ModelFiles,
  manifestJson,
  openClip,
  openGpt2,
  openModel,
  type Part,
} from "./model-files.js";
import { canonicalNames, describeMapper, isMapperName, requireShapes, selectTensors } from "./names.js";
import { nodeFolder, writeFolderAtomically } from "./node-folder.js";
import { writeSafetensors } from "./node-safetensors.js";
import { fileError, openFile } from "./node-source.js";
import { writeTorch } from "./node-torch.js";
import { type Loss, noLoss, recode, recodedMetadata, type WeightType } from "./recode.js";
import { gpt2Shapes } from "./shapes.js";
import type { TensorFile } from "./tensor-file.js";

export interface ConvertOptions {
  /** Undefined keeps every tensor as it is. */
  readonly dtype?: WeightType;
  /** Hugging Face folders that a bare checkpoint needs: it holds neither CLIP nor configurations and tokenizers. */
  readonly clip?: string;
  readonly gpt2?: string;
  /** For checkpoints trained with L2-normalised embeddings; the file does not tell. */
  readonly normalizePrefix?: boolean;
  readonly signal?: AbortSignal;
  /** Bytes written of one of the new files. */
  readonly onProgress?: (file: string, done: number, total: number) => void;
}

export interface ConvertReport {
  readonly output: string;
  /** Weight files written, relative to the output, with what the change of type did to their values. */
  readonly files: readonly ({ readonly file: string; readonly tensors: number } & Readonly<Loss>)[];
}

/**
 * Converts between a checkpoint of the original project (.pt, or its tensors as .safetensors), Hugging Face folders of
 * CLIP and GPT-2, and model folders (docs/facts.md 10); memory holds a piece of one tensor at a time.
 *   checkpoint -> model folder (with options.clip and options.gpt2); model folder -> model folder or checkpoint (.pt);
 *   Hugging Face folder -> the same in another type.
 * The output appears complete or not at all.
 * @throws ClipCapError `bad-usage` for combinations that do not exist.
 */
export async function convert(input: string, output: string, options: ConvertOptions = {}): Promise<ConvertReport> {
  if (output === "") throw new ClipCapError("bad-usage", "The output has no name; give a new folder or a .pt file.");
  const stats = await stat(input).catch((cause) => {
    throw fileError(input, cause);
  });
  const toCheckpoint = /\.(pt|pth)$/i.test(output);
  if (toCheckpoint && options.dtype === "q8") {
    throw new ClipCapError("bad-usage", "A .pt checkpoint holds f32 or f16; q8 needs a model folder.");
  }
  if (!stats.isDirectory()) {
    if (toCheckpoint)
      throw new ClipCapError("bad-usage", `${input} is a checkpoint already; name a folder to convert it to.`);
    return checkpointToModel(input, output, options);
  }
  refuseCheckpointOptions(input, options);
  const folder = await nodeFolder(input);
  try {
    if (!(await folder.has("clipcap.json"))) {
      if (toCheckpoint)
        throw new ClipCapError("bad-usage", `${input} has no clipcap.json; only a model folder becomes a .pt file.`);
      return await huggingFaceToSame(folder, output, options);
    }
    const model = await openModel(folder);
    return toCheckpoint
      ? await modelToCheckpoint(model, output, options)
      : await modelToModel(folder, model, output, options);
  } finally {
    await folder.close();
  }
}

/** A folder has its own CLIP and GPT-2 and says how the embedding goes in. */
function refuseCheckpointOptions(input: string, { clip, gpt2, normalizePrefix }: ConvertOptions): void {
  for (const [flag, value] of Object.entries({
    "--clip": clip,
    "--gpt2": gpt2,
    "--normalize-prefix": normalizePrefix,
  })) {
    if (value === undefined) continue;
    throw new ClipCapError("bad-usage", `${flag} goes with a checkpoint, but ${input} is a folder; leave it out.`);
  }
}

/** Collects the weight files of one output folder. */
class Output {
  readonly files: ({ file: string; tensors: number } & Loss)[] = [];

  constructor(
    /** The temporary folder that becomes the output. */
    readonly root: string,
    readonly options: ConvertOptions,
  ) {}

  async weights(file: string, tensors: TensorFile): Promise<void> {
    const { dtype, signal, onProgress } = this.options;
    const loss = noLoss();
    const entries = recode(tensors, dtype, loss);
    await writeSafetensors(join(this.root, file), entries, recodedMetadata(entries), {
      signal,
      onProgress: (done, total) => onProgress?.(file, done, total),
    });
    this.files.push({ file, tensors: entries.length, ...loss });
  }

  /** A Hugging Face folder: weights, configuration, tokenizer. */
  async part(name: string, weights: TensorFile, folder: ModelFolder): Promise<void> {
    await this.weights(join(name, "model.safetensors"), weights);
    for (const file of COMPANIONS) {
      if (!(await folder.has(file))) continue;
      const source = await folder.open(file);
      await writeFile(join(this.root, name, file), await source.read(0, source.size));
    }
  }
}

async function checkpointToModel(input: string, output: string, options: ConvertOptions): Promise<ConvertReport> {
  if (options.clip === undefined || options.gpt2 === undefined) {
    throw new ClipCapError(
      "bad-usage",
      `${input} holds neither CLIP nor the tokenizer; add --clip DIR and --gpt2 DIR (clipcap fetch clip-vit-base-patch32 and clipcap fetch gpt2 download them).`,
    );
  }
  const folders = [await nodeFolder(options.clip), await nodeFolder(options.gpt2)] as const;
  const source = await openFile(input);
  try {
    const tensors = await canonicalNames(await openTensors(source));
    const clip = await openClip(folders[0]);
    const gpt2 = await gpt2Of(tensors, folders[1]);
    const mapper = describeMapper(tensors, gpt2.config.width);
    checkFit(input, mapper, clip.config, gpt2.config);
    return await writeFolder(output, options, async (out) => {
      await out.part("clip", clip.weights, clip.folder);
      await out.part("gpt2", gpt2.weights, gpt2.folder);
      await out.weights("mapper.safetensors", selectTensors(tensors, isMapperName));
      const description = { name: basename(output) };
      await writeJson(out, "clipcap.json", manifestJson(description, mapper, options.normalizePrefix ?? false));
    });
  } finally {
    await Promise.all([source.close(), ...folders.map((folder) => folder.close())]);
  }
}

/** GPT-2 as the checkpoint holds it (fine-tuned or frozen); a checkpoint of the mapper alone takes the folder's. */
async function gpt2Of(tensors: TensorFile, folder: ModelFolder): Promise<Part<Gpt2Config>> {
  if (!tensors.tensors.has("wte.weight")) return openGpt2(folder);
  const config = parseGpt2Config(await readJson(folder, "config.json"), `${folder.name}/config.json`);
  const shapes = gpt2Shapes(config);
  requireShapes(tensors, shapes);
  return { config, weights: selectTensors(tensors, (name) => shapes.has(name)), folder };
}

async function modelToModel(folder: ModelFolder, model: ModelFiles, output: string, options: ConvertOptions) {
  const description = await readJson(folder, "clipcap.json");
  return writeFolder(output, options, async (out) => {
    await out.part("clip", model.clip.weights, model.clip.folder);
    await out.part("gpt2", model.gpt2.weights, model.gpt2.folder);
    await out.weights("mapper.safetensors", model.mapper.weights);
    await writeJson(out, "clipcap.json", { ...description, clip: "clip", gpt2: "gpt2" });
  });
}

async function huggingFaceToSame(folder: ModelFolder, output: string, options: ConvertOptions): Promise<ConvertReport> {
  const weights = await checkedWeights(folder);
  return writeFolder(output, options, (out) => out.part(".", weights, folder));
}

/** Opens a CLIP or GPT-2 folder, whichever its config.json says it is. */
async function checkedWeights(folder: ModelFolder): Promise<TensorFile> {
  const type = (await readJson(folder, "config.json")).model_type;
  if (type === "clip") return (await openClip(folder)).weights;
  if (type === "gpt2") return (await openGpt2(folder)).weights;
  throw new ClipCapError(
    "bad-input",
    `${folder.name} is neither a model folder nor CLIP or GPT-2 (model_type ${JSON.stringify(type)}).`,
  );
}

/** The layout of the original's checkpoints: gpt.transformer.…, the tied gpt.lm_head.weight, clip_project.… */
async function modelToCheckpoint(model: ModelFiles, output: string, options: ConvertOptions): Promise<ConvertReport> {
  const { signal, onProgress } = options;
  const loss = noLoss();
  const quantized = [model.gpt2.weights, model.mapper.weights].some((file) => "quantization" in file.metadata);
  const dtype = options.dtype ?? (quantized ? "f32" : undefined);
  const gpt2 = recode(model.gpt2.weights, dtype, loss).map((entry) => ({
    ...entry,
    name: `gpt.transformer.${entry.name}`,
  }));
  const entries = [...gpt2, ...recode(model.mapper.weights, dtype, loss)];
  const tied = new Map([["gpt.lm_head.weight", "gpt.transformer.wte.weight"]]);
  const file = basename(output);
  await writeTorch(output, entries, tied, { signal, onProgress: (done, total) => onProgress?.(file, done, total) });
  return { output, files: [{ file, tensors: entries.length, ...loss }] };
}

async function writeFolder(
  output: string,
  options: ConvertOptions,
  fill: (out: Output) => Promise<void>,
): Promise<ConvertReport> {
  let files: Output["files"] = [];
  await writeFolderAtomically(
    output,
    async (temporary) => {
      const out = new Output(temporary, options);
      await fill(out);
      files = out.files;
    },
    options.signal,
  );
  return { output, files };
}

async function writeJson(out: Output, file: string, value: unknown): Promise<void> {
  await writeFile(join(out.root, file), `${JSON.stringify(value, null, 1)}\n`);
}
