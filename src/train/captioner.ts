import { clipVision } from "../models/clip.js";
import { Generator } from "../models/generate.js";
import { prefixOf } from "../models/mapper.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import type { ImageInput } from "./images.js";
import type { TrainingModel } from "./model.js";

export interface CaptionerOptions {
  /** Pictures captioned at once. */
  readonly batch: number;
  /** Of one picture's input. */
  readonly inputShape: readonly number[];
  readonly normalizePrefix: boolean;
  readonly maxTokens: number;
  readonly stop: readonly number[];
}

/** Greedy captions by networks that are in training. */
export class Captioner {
  private constructor(
    private readonly device: Device,
    private readonly generator: Generator,
    private readonly input: Tensor,
    private readonly options: CaptionerOptions,
  ) {}

  static async create(device: Device, model: TrainingModel, o: CaptionerOptions): Promise<Captioner> {
    const shape = {
      images: o.batch,
      width: 1,
      prompt: [],
      maxTokens: o.maxTokens,
      stop: o.stop,
      strategy: { type: "greedy" },
      repetitionPenalty: 1,
      noRepeatNgram: 0,
    } as const;
    let input!: Tensor;
    const { mapper, gpt2 } = model;
    const { normalizePrefix } = o;
    const generator = await Generator.create(device, gpt2, mapper.config.prefixLength, shape, (p) => {
      input = p.persistent("input", [o.batch, ...o.inputShape]);
      const embeds = model.clip ? clipVision(p, model.clip.vision, input).embeds : input;
      return prefixOf(p, { mapper, normalizePrefix }, embeds);
    });
    return new Captioner(device, generator, input, o);
  }

  /** Token ids of the captions, the stop token included. @throws ClipCapError `aborted` */
  async captions(images: readonly number[], input: ImageInput, signal?: AbortSignal): Promise<(readonly number[])[]> {
    const { batch } = this.options;
    const stopped = () => signal?.aborted ?? false;
    const captions: (readonly number[])[] = [];
    for (let i = 0; i < images.length; i += batch) {
      const some = images.slice(i, i + batch);
      for (const [row, image] of some.entries()) this.device.write(this.input, await input.values(image), row);
      const decoded = await this.generator.run({ seed: 0, stopped }); // rows of an earlier batch fill the last one
      captions.push(...decoded.slice(0, some.length).map(([best]) => best!.tokens));
    }
    return captions;
  }

  free(): void {
    this.generator.destroy();
  }
}
