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

export { decodeImage } from "./data/image/decode-browser.js";
export type { RgbImage } from "./data/image/rgb.js";
export { type Caption, ClipCap, type LoadOptions, type ModelSource } from "./models/clipcap.js";
export type { CaptionOptions } from "./models/options.js";
export type { AdapterInfo, DeviceLimits } from "./runtime/adapter.js";
export { type Counters, Device } from "./runtime/device.js";
export { ClipCapError, type ErrorCode } from "./runtime/errors.js";
export type { MemoryReport } from "./runtime/memory.js";
export type { DeviceOptions } from "./runtime/options.js";
export { filesFolder, type ModelFolder, mapFolder, urlFolder } from "./weights/folder.js";

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
