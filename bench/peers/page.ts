// What a page of the comparison runs: one library, asked by tab.ts.
import { openDevice } from "../../src/index.js";
import type { Device } from "../../src/runtime/device.js";
import type { Case } from "./cases.js";
import { type Library, Session } from "./library.js";
import pins from "./package.json" with { type: "json" };

/** Only the page's own is loaded. */
const LIBRARIES: Readonly<Record<string, () => Promise<Library>>> = {
  ours: async () => (await import("./ours.js")).open(await openDevice()),
  "ort-webgpu": () => onnxRuntime("webgpu"),
  "ort-wasm": () => onnxRuntime("wasm"),
  tfjs: async () => (await import("./tfjs.js")).open(),
  jax: async () => (await import("./jaxjs.js")).open(),
};

async function onnxRuntime(provider: "webgpu" | "wasm"): Promise<Library> {
  const { open } = await import("./ort.js");
  const runtime = await import("onnxruntime-web/webgpu");
  runtime.env.wasm.numThreads = navigator.hardwareConcurrency; // its own choice is half of them
  const name = `onnxruntime-web ${provider} ${pins.dependencies["onnxruntime-web"]}`;
  return open(runtime, { name, provider, caches: provider === "webgpu" ? "gpu-buffer" : "cpu" });
}

let session: Session;

/** The library's name with its version. */
export async function open(library: string): Promise<string> {
  session = new Session(await LIBRARIES[library]!());
  return session.name;
}

/** Values as plain numbers. */
export async function prepare(c: Case): Promise<{ firstMs: number; values: number[] }> {
  const { firstMs, values } = await session.prepare(c);
  return { firstMs, values: [...values] };
}

export function turn(ms: number) {
  return session.turn(ms);
}

/** What this browser computes on. */
export async function describeDevice(): Promise<Pick<Device, "adapter" | "limits">> {
  const device = await openDevice();
  const { adapter, limits } = device;
  device.close();
  return { adapter, limits };
}
