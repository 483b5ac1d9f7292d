export { type NodeDeviceOptions, nodeGpu, openDevice } from "./node/dawn.js";
