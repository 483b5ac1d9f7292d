/**
 * clipcap-webgpu for Node: everything of the browser entry, with Dawn as the GPU, files as models and sharp for images.
 *
 *     const device = await openDevice();
 *     const model = await ClipCap.load(device, await modelFolder("flickr8k-small"));
 *     const [[caption]] = await model.caption([await decodeImage("photo.jpg")]);
 *     device.close();
 */

// TypeScript 6 and newer declare WebGPU in lib.dom, which a project for Node usually leaves out. A dependency on
// @webgpu/types would not do: it needs lib.dom itself and declares the same names again.
/// <reference lib="dom" preserve="true" />

export { type DecodeOptions, decodeImage } from "./data/image/decode-node.js";
export type { Preprocessing } from "./data/image/preprocess.js";
export type { RgbImage } from "./data/image/rgb.js";
export type { Tokenizer } from "./data/tokenizer.js";
export { type Caption, ClipCap, type LoadOptions, type ModelSource, type Networks } from "./models/clipcap.js";
export type { GeneratorShape } from "./models/generate.js";
export type { CaptionOptions } from "./models/options.js";
export type { WeightDType } from "./models/weights.js";
export { type NodeDeviceOptions, nodeGpu, openDevice } from "./node/dawn.js";
export { modelFolder } from "./node/model.js";
export type { AdapterInfo, DeviceLimits } from "./runtime/adapter.js";
export { type Counters, Device } from "./runtime/device.js";
export { ClipCapError, type ErrorCode } from "./runtime/errors.js";
export type { MemoryReport } from "./runtime/memory.js";
export type { DeviceOptions } from "./runtime/options.js";
export { filesFolder, type ModelFile, type ModelFolder, mapFolder, urlFolder } from "./weights/folder.js";
export type { ModelFiles } from "./weights/model-files.js";
export type { ByteSource } from "./weights/source.js";
export type { UrlOptions } from "./weights/url-source.js";
