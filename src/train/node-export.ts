import { link, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type LoadedTensor, unstacked } from "../models/weights.js";
import { f32ToF16 } from "../weights/float.js";
import type { JsonObject } from "../weights/json-fields.js";
import { type TensorEntry, writeSafetensors } from "../weights/node-safetensors.js";
import { fileError } from "../weights/node-source.js";
import type { TensorFile } from "../weights/tensor-file.js";
import type { PartName, TrainingModel } from "./model.js";
import type { Networks } from "./node-networks.js";

export interface ExportOptions {
  /** clipcap.json without its description of the mapper. */
  readonly description: JsonObject;
  readonly normalizePrefix: boolean;
  /** Type of trained tensors; f16 halves the files and rounds. */
  readonly dtype: "F32" | "F16";
  readonly trained: readonly PartName[];
}

/**
 * Writes the networks as a model folder that `caption` loads (docs/facts.md 10): trained tensors from the device, all
 * others from where they came. The folder is replaced as a whole; weights that are not trained are linked to those of
 * the folder before, where there is one.
 */
export async function exportModel(
  path: string,
  model: TrainingModel,
  networks: Networks,
  o: ExportOptions,
): Promise<void> {
  const temporary = `${path}.tmp`;
  const old = `${path}.old`;
  try {
    await rm(temporary, { recursive: true, force: true });
    for (const part of ["clip", "gpt2"] as const) {
      const target = join(temporary, part);
      await mkdir(target, { recursive: true });
      for (const [name, bytes] of networks[part].companions) await writeFile(join(target, name), bytes);
      await writePart(
        join(target, "model.safetensors"),
        join(path, part, "model.safetensors"),
        part,
        model,
        networks[part].file,
        o,
      );
    }
    const mapper = "mapper.safetensors";
    await writePart(join(temporary, mapper), join(path, mapper), "mapper", model, networks.mapper.file, o);
    await writeFile(join(temporary, "clipcap.json"), `${JSON.stringify(description(networks, o), null, 1)}\n`);
    await rm(old, { recursive: true, force: true });
    await rename(path, old).catch(ifThere);
    await rename(temporary, path);
    await rm(old, { recursive: true, force: true });
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    throw fileError(path, cause);
  }
}

function ifThere(cause: NodeJS.ErrnoException): void {
  if (cause.code !== "ENOENT") throw cause;
}

async function writePart(
  path: string,
  before: string,
  part: PartName,
  model: TrainingModel,
  source: TensorFile,
  o: ExportOptions,
): Promise<void> {
  const trained = o.trained.includes(part);
  if (!trained) {
    const linked = await link(before, path).then(
      () => true,
      () => false, // there is none yet, or the file system has no links
    );
    if (linked) return;
  }
  await mkdir(dirname(path), { recursive: true });
  await writeSafetensors(path, entriesOf(trained ? (model.loaded.get(part) ?? []) : [], model, source, o));
}

/** Every tensor of the source: those on the device as they are there, the rest as in the file. */
function entriesOf(
  loaded: readonly LoadedTensor[],
  model: TrainingModel,
  source: TensorFile,
  o: ExportOptions,
): TensorEntry[] {
  const onDevice = new Map(loaded.flatMap((entry) => entry.pieces.map(({ name }) => [name, entry] as const)));
  return [...source.tensors.values()].map(({ name, dtype, shape }): TensorEntry => {
    const entry = onDevice.get(name);
    if (!entry)
      return {
        name,
        dtype,
        shape,
        bytes: async function* () {
          yield await source.readBytes(name);
        },
      };
    return {
      name,
      dtype: o.dtype,
      shape,
      async *bytes() {
        const values = await valuesOf(entry, name, model);
        yield new Uint8Array(o.dtype === "F16" ? f32ToF16(values).buffer : values.slice().buffer);
      },
    };
  });
}

/** A stacked tensor is read once for each of its pieces: three at most. */
async function valuesOf(entry: LoadedTensor, name: string, { store }: TrainingModel): Promise<Float32Array> {
  const pieces = unstacked(entry, await store.read(entry.tensor.label));
  return pieces.find((piece) => piece.name === name)!.values;
}

function description({ mapper: { config }, gpt2 }: Networks, o: ExportOptions): JsonObject {
  const transformer =
    config.type === "transformer" ? { clip_length: config.clipLength, num_layers: config.layers } : {};
  const stops = [".", " ."].map((text) => gpt2.tokenizer.encode(text)).filter((ids) => ids.length === 1);
  return {
    format: 1,
    ...o.description,
    clip: "clip",
    gpt2: "gpt2",
    mapper: {
      type: config.type,
      prefix_length: config.prefixLength,
      ...transformer,
      normalize_prefix: o.normalizePrefix,
    },
    stop_tokens: [...new Set([...stops.flat(), gpt2.config.eosId])],
  };
}
