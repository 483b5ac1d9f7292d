import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "../src/weights/safetensors.js";
import { memorySource } from "../src/weights/source.js";
import type { TensorFile } from "../src/weights/tensor-file.js";

/** Folder of the PyTorch goldens: CLIPCAP_GOLDENS (a set made with another seed), else test/goldens. */
function goldenFolder(): string {
  return process.env.CLIPCAP_GOLDENS ?? fileURLToPath(new URL("goldens", import.meta.url));
}

/** Absolute path of a golden file, such as goldenPath("tiny", "gpt2.safetensors"). */
export function goldenPath(...parts: string[]): string {
  return join(goldenFolder(), ...parts);
}

/** A golden JSON file; the caller states its type. */
export function goldenJson<T>(...parts: string[]): T {
  return JSON.parse(readFileSync(goldenPath(...parts), "utf8")) as T;
}

/** A golden safetensors file, held in memory. */
export function goldenTensors(...parts: string[]): Promise<TensorFile> {
  const path = goldenPath(...parts);
  return openSafetensors(memorySource(path, readFileSync(path)));
}

/** An I32 tensor (token ids, lengths) of a golden file. */
export async function readI32(file: TensorFile, name: string): Promise<Int32Array> {
  return new Int32Array((await file.readBytes(name)).buffer);
}
