import { ClipTextEncoder } from "../models/clip-text-encoder.js";
import { ClipCap } from "../models/clipcap.js";
import { modelFolder } from "../node/model.js";
import type { Device } from "../runtime/device.js";
import { chooseDevice } from "./device.js";
import { imageBatches, namedFiles } from "./images.js";
import type { ModelOptions } from "./model.js";
import type { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";

/** Images at once, as in `clipcap eval`. */
const BATCH = 16;

/** CLIP on a device, for what is not in the index: one tower at a time. */
export class SearchClip {
  private constructor(
    private readonly device: Device,
    private readonly options: ModelOptions,
    private readonly screen: Screen,
  ) {}

  static async open(options: ModelOptions, screen: Screen): Promise<SearchClip> {
    screen.progress("opening the device");
    return new SearchClip(await chooseDevice(options.device), options, screen);
  }

  /** The vector of some words. */
  async words(text: string): Promise<Float32Array> {
    this.screen.progress("reading the words");
    const encoder = await ClipTextEncoder.load(this.device, await modelFolder(this.options.model), this.loading());
    const [vector] = await encoder.embed([text], { signal: stopSignal });
    encoder.close();
    return vector!;
  }

  /** The vectors of images; those that cannot be read go to `complain` and are left out. */
  async *images(
    files: readonly string[],
    complain: (error: unknown, file: string) => void,
  ): AsyncGenerator<{ readonly file: string; readonly embedding: Float32Array }> {
    const { device, options, screen } = this;
    screen.progress(`loading ${options.model}`);
    const model = await ClipCap.load(device, await modelFolder(options.model), this.loading());
    let done = 0;
    screen.progress("looking at images", 0, files.length);
    const preprocessing = Promise.resolve(model.preprocessing);
    for await (const batch of imageBatches(namedFiles(files, {}), BATCH, preprocessing, {}, complain)) {
      const vectors = await model.embed(batch.images, { batch: BATCH, signal: stopSignal });
      for (const [i, embedding] of vectors.entries()) yield { file: batch.names[i]!, embedding };
      done += vectors.length;
      screen.progress("looking at images", done, files.length);
    }
    model.close();
  }

  close(): void {
    this.device.close();
  }

  private loading() {
    return { dtype: this.options.dtype, signal: stopSignal };
  }
}
