import { existsSync } from "node:fs";
import { link, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { usualStops } from "../models/options.js";
import { type LoadedTensor, unstacked } from "../models/weights.js";
import type { JsonObject } from "../weights/json-fields.js";
import { manifestJson } from "../weights/model-files.js";
import { type TensorEntry, writeSafetensors } from "../weights/node-safetensors.js";
import { fileError, syncFolder, writeAtomically } from "../weights/node-source.js";
import type { TensorFile } from "../weights/tensor-file.js";
import type { PartName, TrainingModel } from "./model.js";
import type { Networks } from "./node-networks.js";

export interface ExportOptions {
  /** clipcap.json without its description of the mapper. */
  readonly description: JsonObject;
  readonly normalizePrefix: boolean;
  readonly trained: readonly PartName[];
  /** Whether the folder that is replaced is an export of this run, so that weights that are not trained can be linked to its. */
  readonly linkUntrained: boolean;
}

/**
 * Writes the networks as a model folder that `caption` loads (docs/facts.md 10): trained tensors from the device, all
 * others from where they came. The folder is replaced as a whole: when all of the new one is on the disk the old one is
 * renamed, then the new one; `mendExport` puts back the old one where a process was killed in between.
 */
export async function exportModel(
  path: string,
  model: TrainingModel,
  networks: Networks,
  o: ExportOptions,
): Promise<void> {
  const { temporary, old } = namesOf(path);
  const part = (name: PartName, file: string) =>
    writePart(join(temporary, file), join(path, file), name, model, networks[name].file, o);
  try {
    await rm(temporary, { recursive: true, force: true });
    for (const name of ["clip", "gpt2"] as const) {
      for (const [file, bytes] of networks[name].companions) await writeWhole(join(temporary, name, file), bytes);
      await part(name, `${name}/model.safetensors`);
      await syncFolder(join(temporary, name));
    }
    await part("mapper", "mapper.safetensors");
    const json = `${JSON.stringify(description(networks, o), null, 1)}\n`;
    await writeWhole(join(temporary, "clipcap.json"), new TextEncoder().encode(json));
    await syncFolder(temporary);
    await rm(old, { recursive: true, force: true });
    if (existsSync(path)) await rename(path, old);
    await rename(temporary, path);
    await syncFolder(dirname(path));
    await rm(old, { recursive: true, force: true });
  } catch (cause) {
    await mendExport(path);
    throw fileError(path, cause);
  }
}

/** Puts back the folder that a killed export had moved away, and removes what is half-written. */
export async function mendExport(path: string): Promise<void> {
  const { temporary, old } = namesOf(path);
  if (!existsSync(path) && existsSync(old)) await rename(old, path);
  await rm(old, { recursive: true, force: true });
  await rm(temporary, { recursive: true, force: true });
}

function namesOf(path: string): { readonly temporary: string; readonly old: string } {
  return { temporary: `${path}.tmp`, old: `${path}.old` };
}

function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  return writeAtomically(path, (sink) => sink.write(bytes));
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
  if (!trained && o.linkUntrained) {
    const linked = await link(before, path).then(
      () => true,
      () => false, // the file system has no links
    );
    if (linked) return;
  }
  await writeSafetensors(path, entriesOf(trained ? (model.loaded.get(part) ?? []) : [], model, source));
}

/** Every tensor of the source: those on the device as they are there, the rest as in the file. */
function entriesOf(loaded: readonly LoadedTensor[], model: TrainingModel, source: TensorFile): TensorEntry[] {
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
      dtype: "F32",
      shape,
      async *bytes() {
        yield new Uint8Array((await valuesOf(entry, name, model)).slice().buffer);
      },
    };
  });
}

/** A stacked tensor is read once for each of its pieces: three at most. */
async function valuesOf(entry: LoadedTensor, name: string, { store }: TrainingModel): Promise<Float32Array> {
  const pieces = unstacked(entry, await store.read(entry.tensor.label));
  return pieces.find((piece) => piece.name === name)!.values;
}

function description({ mapper, gpt2 }: Networks, { description, normalizePrefix }: ExportOptions): JsonObject {
  const stop_tokens = usualStops(gpt2.tokenizer, gpt2.config);
  return { ...manifestJson(description, mapper.config, normalizePrefix), stop_tokens };
}
