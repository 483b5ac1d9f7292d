import { type NodeDeviceOptions, openDevice } from "../node/dawn.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { readTable, type TuneTable, tableFile, tunedOf } from "../tune/node-table.js";
import { sentence } from "./fail.js";

/** Opens the device that `--device` names, with the kernels that `clipcap tune` found for it. */
export async function chooseDevice(which: string, options?: NodeDeviceOptions): Promise<Device> {
  const device = await chooseUntuned(which, options);
  const table = await cachedTable(device);
  if (table) useTable(device, table);
  return device;
}

/** CLIPCAP_TUNE=0 in the environment leaves out what `clipcap tune` found. */
export function takesUsualKernels(): boolean {
  return process.env.CLIPCAP_TUNE === "0";
}

/** What `clipcap tune` found for this device, where it is wanted. */
export async function cachedTable(device: Device): Promise<TuneTable | undefined> {
  if (takesUsualKernels()) return undefined;
  return usableTable(tableFile(device.adapter), device, "run clipcap tune again");
}

/** The table in a file; undefined where there is none, or none that can be used, which is said with what comes of it. */
export async function usableTable(file: string, device: Device, next: string): Promise<TuneTable | undefined> {
  try {
    return await readTable(file, device);
  } catch (error) {
    process.stderr.write(`clipcap: ${sentence(error)}; ${next}\n`);
    return undefined;
  }
}

/** Lets what is recorded from now on take the kernels of a table; one that changes none is as good as no table. */
export function useTable(device: Device, table: TuneTable): void {
  const tuned = tunedOf(table);
  device.tuned = Object.keys(tuned.choices).length > 0 ? tuned : undefined;
}

/**
 * Opens the device that `--device` names, with the usual kernels: auto (a GPU if there is one, else the CPU's driver),
 * cpu, discrete, integrated, or a part of an adapter's name.
 * @throws ClipCapError `no-adapter` when there is no such device.
 */
export async function chooseUntuned(which: string, options: NodeDeviceOptions = {}): Promise<Device> {
  switch (which) {
    case "auto":
      return openDevice(options);
    case "cpu":
      return openDevice({ ...options, forceFallbackAdapter: true });
    case "discrete":
      return notCpu(which, await openDevice({ ...options, powerPreference: "high-performance" }));
    case "integrated":
      return notCpu(which, await openDevice({ ...options, powerPreference: "low-power" }));
    default:
      return deviceNamed(which, options);
  }
}

/** WebGPU takes a preference as a wish and would give the CPU's driver where there is no GPU. */
function notCpu(which: string, device: Device): Device {
  if (!device.adapter.isCpu) return device;
  device.close();
  throw new ClipCapError(
    "no-adapter",
    `there is no GPU for --device ${which}, only ${device.adapter.description}; leave the option out to use that`,
  );
}

async function deviceNamed(name: string, options: NodeDeviceOptions): Promise<Device> {
  try {
    return await openDevice({ ...options, toggles: [`adapter=${name}`] });
  } catch (cause) {
    const names = [...String(cause).matchAll(/name: '([^']*)'/g)].map((match) => match[1]);
    if (names.length === 0) {
      (await openDevice()).close(); // where there is no adapter at all, its error says how to get one
      throw cause;
    }
    throw new ClipCapError("no-adapter", `no adapter is called ${name}; there is ${names.join(", ")}`, { cause });
  }
}
