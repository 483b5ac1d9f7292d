/**
 * clipcap-webgpu for browsers and every other place with WebGPU: nothing here, or below it, needs Node.
 *
 *     const device = await openDevice();
 *     const model = await ClipCap.load(device, "/weights/flickr8k-small");
 *     const [[caption]] = await model.caption([await decodeImage(file)]);
 *     device.close();
 */
import { Device } from "./runtime/device.js";
import { ClipCapError } from "./runtime/errors.js";
import type { DeviceOptions } from "./runtime/options.js";

export { type DecodeOptions, decodeImage } from "./data/image/decode-browser.js";
export type { Preprocessing } from "./data/image/preprocess.js";
export type { RgbImage } from "./data/image/rgb.js";
export type { Tokenizer } from "./data/tokenizer.js";
export { type Caption, ClipCap, type LoadOptions, type ModelSource, type Networks } from "./models/clipcap.js";
export type { GeneratorShape } from "./models/generate.js";
export type { CaptionOptions } from "./models/options.js";
export type { WeightDType } from "./models/weights.js";
export type { AdapterInfo, DeviceLimits } from "./runtime/adapter.js";
export { type Counters, Device } from "./runtime/device.js";
export { ClipCapError, type ErrorCode } from "./runtime/errors.js";
export type { MemoryReport } from "./runtime/memory.js";
export type { DeviceOptions } from "./runtime/options.js";
export { filesFolder, type ModelFile, type ModelFolder, mapFolder, urlFolder } from "./weights/folder.js";
export type { ModelFiles } from "./weights/model-files.js";
export type { ByteSource } from "./weights/source.js";
export type { UrlOptions } from "./weights/url-source.js";

/**
 * Opens the browser's GPU.
 * @throws ClipCapError `no-adapter` where WebGPU is missing.
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const gpu = globalThis.navigator?.gpu;
  if (!gpu) {
    throw new ClipCapError(
      "no-adapter",
      "this browser has no WebGPU; use a current Chrome, Edge, Safari or Firefox, and https or localhost",
    );
  }
  return Device.open(gpu, options);
}
