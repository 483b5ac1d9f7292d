// What browser libraries look for before they take WebGPU: the globals, and a navigator with an adapter behind it.
import { globals } from "webgpu";
import { nodeGpu } from "../../src/node/dawn.js";

export async function installWebGpu(): Promise<void> {
  Object.assign(globalThis, globals);
  const navigator = { gpu: await nodeGpu(), userAgent: "node", platform: process.platform, hardwareConcurrency: 1 };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}
