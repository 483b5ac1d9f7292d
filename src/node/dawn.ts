import { totalmem } from "node:os";
import { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import type { DeviceOptions } from "../runtime/options.js";

export interface NodeDeviceOptions extends DeviceOptions {
  /** Dawn toggles, e.g. `enable-dawn-features=disable_robustness`. Benchmarks report them (`togglesOf`). */
  readonly toggles?: readonly string[];
}

/**
 * `create()`'s object must stay referenced for as long as the process uses WebGPU: collected earlier, Node hangs or
 * crashes (measured with webgpu 0.6.2). One instance per toggle list serves all devices.
 */
const instances = new Map<string, Promise<GPU>>();

/** Dawn's `navigator.gpu` for Node. @throws ClipCapError `no-adapter` when the npm package `webgpu` is missing. */
export function nodeGpu(toggles: readonly string[] = []): Promise<GPU> {
  const key = toggles.join(";");
  const gpu = instances.get(key) ?? createGpu(toggles);
  instances.set(key, gpu);
  return gpu;
}

async function createGpu(toggles: readonly string[]): Promise<GPU> {
  const webgpu = await import("webgpu").catch((cause) => {
    const message = "the npm package webgpu is not installed; run: npm install webgpu";
    throw new ClipCapError("no-adapter", message, { cause });
  });
  return webgpu.create([...toggles]);
}

/** Dawn rounds timestamps to 65 µs, longer than most kernels take, unless this is among its toggles. */
const EXACT_TIMESTAMPS = "disable-dawn-features=timestamp_quantization";

const asked = new WeakMap<Device, readonly string[]>();

/** The Dawn toggles that a device of `openDevice` was opened with; none of others. */
export function togglesOf(device: Device): readonly string[] {
  return asked.get(device) ?? [];
}

/** Opens a device in Node. @throws ClipCapError `no-adapter`. */
export async function openDevice(options: NodeDeviceOptions = {}): Promise<Device> {
  const toggles = [...(options.toggles ?? []), ...(options.timestamps ? [EXACT_TIMESTAMPS] : [])];
  const gpu = await nodeGpu(toggles);
  // Dawn gives Mesa's CPU driver as fallback only after an ordinary request has found it (webgpu 0.6.2).
  if (options.forceFallbackAdapter) await gpu.requestAdapter();
  const device = await Device.open(gpu, { whileWaiting: sleepBetweenPolls, hostMemory: hostMemory(), ...options });
  asked.set(device, toggles);
  return device;
}

/** Bytes that this machine, or the container the process is in, has in all. */
function hostMemory(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));
const LONGEST_SLEEP = 0.3;
let waiting = 0;
let sleeping = false;
/** Milliseconds of the next sleep. */
let sleep = 0;

/**
 * While any promise is pending Dawn polls on every turn of the event loop, which costs 0.8 of a core and starves a CPU
 * adapter (1.3-2x slower on two cores). Sleeping a turn gives the core back and adds as much latency to a wait: hence
 * short sleeps first (50 x 768 x 768 with its transfers took 1.8 ms instead of 3.1 with 0.3 ms from the start).
 * Lasts until the returned function is called.
 */
export function sleepBetweenPolls(): () => void {
  waiting++;
  sleep = 0;
  if (!sleeping) setImmediate(sleepATurn);
  sleeping = true; // one loop serves all waits: several would add up their sleeps
  return () => {
    waiting--;
  };
}

function sleepATurn(): void {
  sleeping = waiting > 0;
  if (!sleeping) return;
  sleep = Math.min(LONGEST_SLEEP, sleep + 0.02);
  Atomics.wait(sleeper, 0, 0, sleep);
  setImmediate(sleepATurn);
}
