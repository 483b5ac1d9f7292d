import { type NodeDeviceOptions, openDevice } from "../node/dawn.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";

/**
 * Opens the device that `--device` names: auto (a GPU if there is one, else the CPU's driver), cpu, discrete,
 * integrated, or a part of an adapter's name.
 * @throws ClipCapError `no-adapter` when there is no such device.
 */
export async function chooseDevice(which: string, options: NodeDeviceOptions = {}): Promise<Device> {
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
    if (names.length === 0) return openDevice(); // its error says how to get one
    throw new ClipCapError("no-adapter", `no adapter is called ${name}; there is ${names.join(", ")}`, { cause });
  }
}
