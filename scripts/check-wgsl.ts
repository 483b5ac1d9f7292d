/**
 * Compiles the WGSL of every kernel in every variant at WebGPU's default limits (`npm run check`), so that a kernel for
 * another adapter cannot rot: a GPU's variants are checked on a CPU adapter and the other way round.
 * Default limits also bound workgroup memory (16 KiB), invocations (256) and storage bindings (8).
 * Only compiled, never dispatched: Mesa generates machine code at the first dispatch, so this takes a second or two.
 */
import { pathToFileURL } from "node:url";
import { allKernels } from "../src/kernels/index.js";
import { openDevice } from "../src/node.js";
import type { Device } from "../src/runtime/device.js";
import { ClipCapError } from "../src/runtime/errors.js";
import { type KernelSpec, wgsl } from "../src/runtime/kernel.js";

/** WebGPU's default; stated because an adapter may give more than a device asked for. */
const MAX_STORAGE_BINDINGS = 8;

interface Report {
  readonly checked: number;
  /** Names of kernels that need a feature this adapter lacks. */
  readonly leftOut: readonly string[];
  /** One per kernel: its name, what is wrong, and the WGSL around it. */
  readonly faults: readonly string[];
}

/** Checks names and bindings, and compiles each kernel on `device`. */
export async function checkKernels(device: Device, kernels: readonly KernelSpec[]): Promise<Report> {
  const faults = [...sharedNames(kernels), ...manyBindings(kernels)];
  const runnable = kernels.filter((k) => missingFeature(device, k) === undefined);
  const results = await Promise.allSettled(runnable.map(async (kernel) => device.kernel(kernel)));
  for (const result of results) {
    if (result.status === "rejected") faults.push((result.reason as Error).message);
  }
  const leftOut = kernels.filter((k) => missingFeature(device, k) !== undefined).map((k) => k.name);
  return { checked: runnable.length, leftOut, faults: [...new Set(faults)] };
}

/** Two kernels of one name would take each other's pipeline. */
function sharedNames(kernels: readonly KernelSpec[]): string[] {
  const codeOf = new Map<string, string>();
  const shared = new Set<string>();
  for (const kernel of kernels) {
    const code = wgsl(kernel);
    if ((codeOf.get(kernel.name) ?? code) !== code) shared.add(kernel.name);
    codeOf.set(kernel.name, code);
  }
  return [...shared].map((name) => `two kernels are called ${name}`);
}

function manyBindings(kernels: readonly KernelSpec[]): string[] {
  return kernels
    .filter((k) => k.bindings.length > MAX_STORAGE_BINDINGS)
    .map(
      (k) => `kernel ${k.name}: ${k.bindings.length} storage bindings; at most ${MAX_STORAGE_BINDINGS} are portable`,
    );
}

function missingFeature(device: Device, kernel: KernelSpec): string | undefined {
  const features = { subgroups: "subgroups", f16: "shader-f16" } as const;
  return kernel.enables?.map((e) => features[e]).find((feature) => !device.gpu.features.has(feature));
}

async function main(): Promise<void> {
  const device = await openDevice({ limits: "default" });
  try {
    const { checked, leftOut, faults } = await checkKernels(device, allKernels());
    for (const fault of faults) console.error(fault);
    if (leftOut.length > 0) console.log(`${leftOut.length} kernels need a feature that this adapter lacks`);
    console.log(`check-wgsl: ${checked} kernels compiled on ${device.adapter.description}, ${faults.length} faults`);
    if (faults.length > 0) process.exitCode = 1;
  } finally {
    device.close();
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main().catch((error: unknown) => {
    if (!(error instanceof ClipCapError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  });
}
