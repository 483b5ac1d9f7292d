import type { Device } from "../../runtime/device.js";
import { packBatch } from "../../train/batch.js";
import { type ModelSources, TrainingModel } from "../../train/model.js";
import { ADAMW_DEFAULTS } from "../../train/optimizer.js";
import { Trainer } from "../../train/trainer.js";
import type { Gpt2Config, MapperConfig } from "../../weights/config.js";
import { gpt2Shapes, mapperShapes } from "../../weights/shapes.js";
import { syntheticFile, syntheticInts, syntheticTensor } from "../../weights/synthetic.js";
import { timed } from "../node-timing.js";
import { countWork } from "./counts.js";
import { growing, turns } from "./growth.js";
import { amount, type Measurement, type Place, time } from "./measurement.js";
import { PREFIX, SEED } from "./networks.js";
import { kernelShares } from "./traced.js";

/** Tokens of every caption: few of COCO's have more. */
const TOKENS = 16;

export interface TrainingVariant {
  readonly mapper: MapperConfig["type"];
  /** GPT-2 learns too, with dropout. */
  readonly finetuned: boolean;
}

/** The paper's two variants and the two between them. */
export const VARIANTS: readonly TrainingVariant[] = [
  { mapper: "transformer", finetuned: false },
  { mapper: "transformer", finetuned: true },
  { mapper: "mlp", finetuned: true },
  { mapper: "mlp", finetuned: false },
];

/** Steps as `clipcap train` makes them, on embeddings of `clipWidth` values. */
class TrainingBench {
  private t = 0;

  private constructor(
    readonly device: Device,
    readonly model: string,
    private readonly networks: TrainingModel,
    private readonly sources: ModelSources,
    private readonly dropout: number,
    private trainer: Trainer | undefined,
  ) {}

  static async create(
    device: Device,
    gpt2: Gpt2Config,
    { mapper, finetuned }: TrainingVariant,
  ): Promise<TrainingBench> {
    const widths = { prefixLength: PREFIX, clipWidth: 512, gptWidth: gpt2.width };
    const map: MapperConfig =
      mapper === "mlp"
        ? { type: mapper, ...widths }
        : { type: mapper, ...widths, clipLength: PREFIX, layers: 8, heads: 8 };
    const sources: ModelSources = {
      mapper: { config: map, file: syntheticFile(mapperShapes(map), "full", SEED), trained: true },
      gpt2: { config: gpt2, file: syntheticFile(gpt2Shapes(gpt2), "full", SEED), trained: finetuned },
    };
    const networks = await TrainingModel.create(device, sources, { contrastive: false });
    const model = `${mapper} mapper, ${finetuned ? "fine-tuned" : "frozen"} GPT-2 (${gpt2.layers} x ${gpt2.width}); synthetic weights`;
    return new TrainingBench(device, model, networks, sources, finetuned ? 0.1 : 0, undefined);
  }

  /**
   * A steady step with this many captions: at its place where it is a point of a curve; with the share of each kernel
   * where that is wanted, for which the device needs timestamps.
   */
  async measure(
    images: number,
    { place, shares }: { readonly place?: Place; readonly shares?: boolean },
  ): Promise<{ readonly ms: number; readonly found: readonly Measurement[] }> {
    const { device, model } = this;
    const { host, step } = await this.prepare(images);
    await step();
    const once = await timed(step, { warmup: 0, runs: 1 });
    const timing = await timed(step, { warmup: 0, runs: turns(once.median) });
    const subject = { what: "training step", model, how: `batch ${images}, ${PREFIX} + ${TOKENS} tokens` };
    const labels = host.targets.length;
    const found = [
      time({ ...subject, place }, timing),
      amount({ ...subject, what: "tokens learnt", place }, (1000 * labels) / timing.median, "tokens/s"),
      amount({ ...subject, what: "forward and backward pass" }, this.trainer!.flops / 1e9, "GFLOP"),
      amount(subject, this.trainer!.flops / 1e6 / timing.median, "GFLOP/s"),
      ...(await countWork(device, subject, 1, step)),
      amount({ ...subject, what: "peak of device memory" }, device.memory().peak / 1e6, "MB"),
      ...(shares ? await kernelShares(device, subject, step) : []),
    ];
    return { ms: timing.median, found };
  }

  /** The trainer is made for this batch, so that memory is what the batch needs. */
  private async prepare(images: number) {
    this.trainer?.free();
    this.trainer = undefined;
    const { device, networks, sources, dropout } = this;
    const { clipWidth } = sources.mapper.config;
    const ids = syntheticInts("tokens", [images * TOKENS], 1, sources.gpt2.config.vocab, SEED);
    const texts = Array.from({ length: images }, (_, b) => ({
      gpt2: Array.from(ids.slice(b * TOKENS, (b + 1) * TOKENS)),
      clip: [],
    }));
    const input = syntheticTensor("clip", [images, clipWidth], SEED, 0.5);
    const limits = { prefixLength: PREFIX, maxTokens: sources.gpt2.config.positions - PREFIX, maxTextTokens: 0 };
    const host = packBatch(texts, images, input, { ...limits, weight: 1 / (images * TOKENS) });
    const trainer = await Trainer.create(device, networks, {
      inputShape: [clipWidth],
      normalizePrefix: false,
      contrastive: 0,
      largest: host.shape,
      optimizer: { ...ADAMW_DEFAULTS.torch, maxNorm: 1 },
      dropout,
    });
    this.trainer = trainer;
    const step = async () => (await trainer.step([host], { lr: 1e-5, t: ++this.t, seeds: [0] })).result();
    return { host, step };
  }

  free(): void {
    this.trainer?.free();
    this.networks.free();
  }
}

/** One step of each variant at one batch, each on a device of its own, so that each one's peak of memory is its own. */
export async function* trainingVariants(
  open: () => Promise<Device>,
  gpt2: Gpt2Config,
  images: number,
): AsyncGenerator<Measurement> {
  for (const variant of VARIANTS) {
    const device = await open();
    try {
      const bench = await TrainingBench.create(device, gpt2, variant);
      yield* (await bench.measure(images, { shares: true })).found;
    } finally {
      device.close();
    }
  }
}

/** A step's time as the batch grows. */
export async function* trainingGrowth(
  device: Device,
  gpt2: Gpt2Config,
  variant: TrainingVariant,
  points: readonly number[],
): AsyncGenerator<Measurement> {
  const bench = await TrainingBench.create(device, gpt2, variant);
  try {
    yield* growing(points, (images) =>
      bench.measure(images, { place: { axis: "images", x: images, line: bench.model } }),
    );
  } finally {
    bench.free();
  }
}
