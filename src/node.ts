/**
 * clipcap-webgpu for Node: everything of the browser entry, with Dawn as the GPU, files as models and sharp for images.
 *
 *     const device = await openDevice();
 *     const model = await ClipCap.load(device, await modelFolder("flickr8k-small"));
 *     const [[caption]] = await model.caption([await decodeImage("photo.jpg")]);
 *     device.close();
 */
export { type DecodeOptions, decodeImage } from "./data/image/decode-node.js";
export type { RgbImage } from "./data/image/rgb.js";
export { type Caption, ClipCap, type LoadOptions, type ModelSource } from "./models/clipcap.js";
export type { CaptionOptions } from "./models/options.js";
export { type NodeDeviceOptions, nodeGpu, openDevice } from "./node/dawn.js";
export { modelFolder } from "./node/model.js";
export type { AdapterInfo, DeviceLimits } from "./runtime/adapter.js";
export { type Counters, Device } from "./runtime/device.js";
export { ClipCapError, type ErrorCode } from "./runtime/errors.js";
export type { MemoryReport } from "./runtime/memory.js";
export type { DeviceOptions } from "./runtime/options.js";
export { filesFolder, type ModelFolder, mapFolder, urlFolder } from "./weights/folder.js";
