import type { Command } from "commander";
import type { ClipCap } from "../models/clipcap.js";
import type { WeightDType } from "../models/weights.js";
import { DEFAULT_MODEL, modelFolder } from "../node/model.js";
import type { Device } from "../runtime/device.js";
import type { CommonOptions } from "./options.js";
import type { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";
import { NO_TRACING, type Tracing } from "./trace.js";

/** Options of commands that run a model. */
export interface ModelOptions extends CommonOptions {
  readonly model: string;
  readonly dtype: WeightDType;
}

export function withModelOptions(command: Command): Command {
  return command
    .optionsGroup("Model:")
    .option("--model <dir|name>", "model folder, or the name of a shipped model", DEFAULT_MODEL)
    .addOption(
      command
        .createOption("--dtype <type>", "how matrices are kept on the device")
        .choices(["f32", "f16", "q8"])
        .default("f32"),
    );
}

/** Opens the device and loads the model; closing the device frees both. */
export async function openModel(
  options: ModelOptions,
  screen: Screen,
  { device: how, attach, phase }: Tracing = NO_TRACING,
): Promise<{ device: Device; model: ClipCap }> {
  const folder = await modelFolder(options.model);
  screen.progress("opening the device");
  // Only now: a search that needs no device does not wait 0.1 s for the models' code.
  const [{ ClipCap }, { chooseDevice }] = await Promise.all([import("../models/clipcap.js"), import("./device.js")]);
  const device = await phase("open device", () => chooseDevice(options.device, how));
  try {
    await attach(device);
    const load = () =>
      ClipCap.load(device, folder, {
        dtype: options.dtype,
        signal: stopSignal,
        onProgress: ({ loaded, total }) => screen.progress(`loading ${options.model}`, loaded, total),
      });
    const model = await phase(`load ${options.model}`, load);
    return { device, model };
  } catch (error) {
    device.close();
    throw error;
  }
}
