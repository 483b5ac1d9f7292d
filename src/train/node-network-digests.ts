import { createHash } from "node:crypto";
import { clipVisionShapes } from "../weights/shapes.js";
import type { TensorFile } from "../weights/tensor-file.js";
import type { TrainConfig } from "./config.js";
import type { PartName } from "./model.js";
import type { Networks } from "./node-networks.js";

/** By network: SHA-256 of what of it must be the same when a run is resumed. */
export type NetworkDigests = Readonly<Record<PartName, string>>;

/**
 * Of each network its configuration, tokenizer and preprocessing, and the weights where they stay as they are; those that
 * learn are in the checkpoint. GPT-2 small takes a second.
 */
export async function networkDigests(
  { clip, gpt2, mapper }: Omit<Networks, "close">,
  train: TrainConfig["train"],
): Promise<NetworkDigests> {
  const none = new Map<string, Uint8Array>();
  // Texts go through CLIP only where it learns.
  const vision = [...clipVisionShapes(clip.config.vision).keys()];
  return {
    clip: await digest(clip.companions, clip.file, train.includes("clip") ? [] : vision),
    gpt2: await digest(gpt2.companions, gpt2.file, train.includes("gpt2") ? [] : [...gpt2.file.tensors.keys()]),
    mapper: await digest(none, mapper.file, train.includes("mapper") ? [] : [...mapper.file.tensors.keys()]),
  };
}

async function digest(
  companions: ReadonlyMap<string, Uint8Array>,
  file: TensorFile,
  tensors: readonly string[],
): Promise<string> {
  const hash = createHash("sha256");
  for (const [name, bytes] of companions) hash.update(`${name} ${bytes.length}\n`).update(bytes);
  for (const name of tensors) hash.update(`${name}\n`).update(await file.readBytes(name));
  return hash.digest("hex");
}
