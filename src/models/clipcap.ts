import { createStreamDecoder } from "../data/detokenize.js";
import { type Preprocessing, parsePreprocessorConfig, preprocess } from "../data/image/preprocess.js";
import type { RgbImage } from "../data/image/rgb.js";
import type { Tokenizer } from "../data/tokenizer.js";
import { readTokenizer } from "../data/tokenizer-folder.js";
import type { Decoded } from "../kernels/decode/results.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";
import { filesFolder, type ModelFile, type ModelFolder, mapFolder, readJson, urlFolder } from "../weights/folder.js";
import { type ModelFiles, openModel } from "../weights/model-files.js";
import type { TensorFile } from "../weights/tensor-file.js";
import { type ClipVision, clipVision, loadClipVision } from "./clip.js";
import { checkImageSize, checkTokens } from "./fit.js";
import { Generator, type GeneratorShape } from "./generate.js";
import { type Gpt2, loadGpt2 } from "./gpt2.js";
import { checkEmbeddings, checkImages, stopIfAborted } from "./inputs.js";
import { loadMapper, type Mapper, prefixOf } from "./mapper.js";
import {
  batchSize,
  type CaptionOptions,
  generatorShape,
  given,
  imageCount,
  seedOf,
  usualStops,
  word,
} from "./options.js";
import { WEIGHT_DTYPES, type WeightDType, WeightLoader } from "./weights.js";

/** A model folder (docs/facts.md 10): opened, at an address, as files that the user chose, or as files in memory. */
export type ModelSource = ModelFolder | string | URL | ArrayLike<File> | ReadonlyMap<string, ModelFile>;

export interface LoadOptions {
  /** How matrices are kept on the GPU. Default f32; f16 takes half of it and q8 a quarter. */
  readonly dtype?: WeightDType;
  readonly onProgress?: (progress: { readonly loaded: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

export interface Caption {
  readonly text: string;
  /** Token ids, the stop token included. */
  readonly tokens: readonly number[];
  /** Sum of the tokens' log-probabilities under the model. */
  readonly logprob: number;
  readonly meanLogprob: number;
  /** False when the caption was cut at maxTokens. */
  readonly finished: boolean;
}

/** Recorded shapes that are kept; each holds a key/value cache (30 MB for GPT-2 small at beam 5). */
const KEPT_SHAPES = 2;

/** What captions are made of: pictures, or what CLIP saw in them. */
type Input =
  | { readonly from: "images"; readonly items: readonly RgbImage[] }
  | { readonly from: "embeddings"; readonly items: readonly Float32Array[] };

/** The networks that make captions, on one device. */
export interface Networks {
  readonly vision: ClipVision;
  readonly mapper: Mapper;
  readonly gpt2: Gpt2;
  /** The mapper was trained on embeddings of length 1. */
  readonly normalizePrefix: boolean;
}

interface Recorded {
  readonly generator: Generator;
  /** Pixels, or CLIP's embeddings. */
  readonly input: Tensor;
}

/** A captioner: CLIP's vision tower, the mapper and GPT-2 on one device. */
export class ClipCap {
  private readonly recorded = new Map<string, Recorded>();
  private encoder: { readonly program: Program; readonly pixels: Tensor; readonly embeds: Tensor } | undefined;
  /** Calls on one model share its caches, so they run one after the other. */
  private turn: Promise<unknown> = Promise.resolve();
  /** Calls that have not ended. */
  private calls = 0;
  private closed = false;

  private constructor(
    readonly device: Device,
    /** Names, licence and configurations. */
    readonly files: ModelFiles,
    readonly tokenizer: Tokenizer,
    readonly preprocessing: Preprocessing,
    private readonly loaders: readonly WeightLoader[],
    readonly networks: Networks,
  ) {}

  /**
   * Loads a model folder. Weights stream to the GPU in pieces; the text tower of CLIP is left out.
   * @throws ClipCapError `not-found`, `bad-weights`, `out-of-memory`, `aborted`. Nothing stays allocated after a failure.
   */
  static async load(device: Device, source: ModelSource, options: LoadOptions = {}): Promise<ClipCap> {
    word("dtype", options.dtype, WEIGHT_DTYPES);
    const folder = openFolder(source, options.signal);
    const loaders: WeightLoader[] = [];
    try {
      const files = await openModel(folder);
      const { clip, gpt2 } = files;
      const config = await readJson(clip.folder, "preprocessor_config.json");
      const preprocessing = parsePreprocessorConfig(config, `${clip.folder.name}/preprocessor_config.json`);
      checkImageSize(files, preprocessing);
      const tokenizer = await readTokenizer(gpt2.folder);
      checkTokens(files, tokenizer);
      const loader = loaderOf(device, files, options, loaders);
      const vision = await loadClipVision(loader(clip.weights, "clip"), clip.config.vision);
      const networks = {
        vision,
        mapper: await loadMapper(loader(files.mapper.weights, "mapper"), files.mapper.config),
        gpt2: await loadGpt2(loader(gpt2.weights, "gpt2"), gpt2.config),
        normalizePrefix: files.manifest.normalizePrefix,
      };
      await device.settle();
      await device.idle();
      return new ClipCap(device, files, tokenizer, preprocessing, loaders, networks);
    } catch (error) {
      for (const loader of loaders) loader.free();
      throw error;
    } finally {
      await folder.close();
    }
  }

  /**
   * Captions of every image, best first: outer array by image, inner by `num`.
   * @throws ClipCapError `bad-usage`, `bad-input`, `aborted`, `out-of-memory`, `device-lost`, `device-closed`.
   */
  async caption(images: readonly RgbImage[], options: CaptionOptions = {}): Promise<Caption[][]> {
    checkImages(images);
    return this.captionAll({ from: "images", items: images }, options);
  }

  /** Captions of images by what `embed` gave for them. Errors as of `caption`. */
  async captionEmbeddings(embeddings: readonly Float32Array[], options: CaptionOptions = {}): Promise<Caption[][]> {
    checkEmbeddings(embeddings, this.files.clip.config.vision.projection);
    return this.captionAll({ from: "embeddings", items: embeddings }, options);
  }

  private async captionAll({ from, items }: Input, options: CaptionOptions): Promise<Caption[][]> {
    const o = given(options);
    const shape = this.shape(o);
    const captions: Caption[][] = [];
    for (let i = 0; i < items.length; i += batchSize(o)) {
      const batch = { from, items: items.slice(i, i + batchSize(o)) } as Input;
      const decoded = await this.inTurn(() => this.decode(batch, shape, o));
      captions.push(...decoded.map((list) => list.slice(0, o.num ?? 1).map((d) => this.toCaption(d, shape))));
    }
    return captions;
  }

  /**
   * The caption of one image in pieces, as its tokens are chosen. Beam search knows its caption only at the end and
   * gives it as one piece. Leaving the loop early stops the decoding.
   */
  async *stream(image: RgbImage, options: CaptionOptions = {}): AsyncGenerator<string, Caption> {
    checkImages([image]);
    const o = given(options);
    const shape = this.shape({ ...o, num: 1 });
    const stopping = new AbortController();
    const signal = AbortSignal.any([stopping.signal, ...(o.signal ? [o.signal] : [])]);
    const decoder = createStreamDecoder(this.tokenizer, { cleanUp: true });
    const pieces: string[] = shape.prompt.map((id) => decoder.push(id));
    let wake = () => {};
    let settled = false;
    const onTokens = (next: Uint32Array) => {
      if (shape.strategy.type !== "beam" && !this.isEnd(next[0]!)) pieces.push(decoder.push(next[0]!));
      wake();
    };
    const run = this.inTurn(() =>
      this.decode({ from: "images", items: [image] }, shape, { ...o, signal }, onTokens),
    ).finally(() => {
      settled = true;
      wake();
    });
    run.catch(() => {}); // awaited below, unless the reader leaves early
    try {
      while (!settled) {
        if (pieces.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        for (const piece of pieces.splice(0)) if (piece) yield piece;
      }
      const best = (await run)[0]![0]!;
      if (shape.strategy.type === "beam")
        for (const id of best.tokens) if (!this.isEnd(id)) pieces.push(decoder.push(id));
      for (const piece of [...pieces, decoder.end()]) if (piece) yield piece;
      return this.toCaption(best, shape);
    } finally {
      stopping.abort();
    }
  }

  /** CLIP embeddings [projection] of images, not normalised. */
  async embed(
    images: readonly RgbImage[],
    options: Pick<CaptionOptions, "crop" | "signal" | "batch"> = {},
  ): Promise<Float32Array[]> {
    checkImages(images);
    const o = given(options, ["crop", "signal", "batch"]);
    const width = this.files.clip.config.vision.projection;
    const out: Float32Array[] = [];
    for (let i = 0; i < images.length; i += batchSize(o)) {
      const batch = images.slice(i, i + batchSize(o));
      const embeds = await this.inTurn(async () => {
        stopIfAborted(o);
        const { program, pixels, embeds } = await this.encoderFor(batch.length);
        this.writePixels(pixels, batch, o);
        return program.run({}, [embeds]).f32();
      });
      for (let b = 0; b < batch.length; b++) out.push(embeds.slice(b * width, (b + 1) * width));
    }
    return out;
  }

  /** Compiles what these options need, so that the first caption does not wait for it. */
  async prepare(images: number, options: CaptionOptions = {}): Promise<void> {
    const shape = { ...this.shape(options), images: imageCount(images) };
    await this.inTurn(() => {
      stopIfAborted(options);
      return this.recordedFor(shape, "images");
    });
  }

  /** Frees the model's memory; the device stays open. A call that is running is stopped (`aborted`) first. */
  close(): void {
    this.closed = true;
    if (this.calls === 0) this.free();
  }

  private free(): void {
    for (const { generator } of this.recorded.values()) generator.destroy();
    this.encoder?.program.destroy();
    for (const loader of this.loaders) loader.free();
    this.recorded.clear();
    this.encoder = undefined;
  }

  /** What decoding with these options is recorded for. @throws ClipCapError `bad-usage`, `bad-input` */
  shape(options: CaptionOptions): Omit<GeneratorShape, "images"> {
    const { gpt2, mapper: map, manifest } = this.files;
    return generatorShape(options, {
      prefixLength: map.config.prefixLength,
      positions: gpt2.config.positions,
      vocab: gpt2.config.vocab,
      stopTokens: manifest.stopTokens ?? usualStops(this.tokenizer, gpt2.config),
      encode: (text) => this.tokenizer.encode(text),
    });
  }

  private async decode(
    input: Input,
    shape: Omit<GeneratorShape, "images">,
    options: CaptionOptions,
    onTokens?: (next: Uint32Array) => void,
  ): Promise<Decoded[][]> {
    stopIfAborted(options);
    const recorded = await this.recordedFor({ ...shape, images: input.items.length }, input.from);
    if (input.from === "images") this.writePixels(recorded.input, input.items, options);
    else for (const [i, vector] of input.items.entries()) this.device.write(recorded.input, vector, i);
    const stopped = () => this.closed || options.signal?.aborted === true;
    return recorded.generator.run({ seed: seedOf(options), stopped, onTokens });
  }

  private async recordedFor(shape: GeneratorShape, from: Input["from"]): Promise<Recorded> {
    const key = JSON.stringify([from, shape]);
    let recorded = this.recorded.get(key);
    this.recorded.delete(key); // the newest use goes last
    if (!recorded) {
      for (const [old, { generator }] of this.recorded) {
        if (this.recorded.size < KEPT_SHAPES) break;
        generator.destroy();
        this.recorded.delete(old);
      }
      let input!: Tensor;
      const { networks } = this;
      const { config } = networks.mapper;
      const generator = await Generator.create(this.device, networks.gpt2, config.prefixLength, shape, (p) => {
        input =
          from === "images"
            ? this.pixelInput(p, shape.images)
            : p.persistent("embeddings", [shape.images, config.clipWidth]);
        return prefixOf(p, networks, from === "images" ? clipVision(p, networks.vision, input).embeds : input);
      });
      recorded = { generator, input };
    }
    this.recorded.set(key, recorded);
    return recorded;
  }

  private async encoderFor(images: number) {
    if (this.encoder?.pixels.rows === images) return this.encoder;
    this.encoder?.program.destroy();
    this.encoder = undefined; // should the new one fail
    const program = new Program(this.device, "embed");
    const pixels = this.pixelInput(program, images);
    const { embeds } = clipVision(program, this.networks.vision, pixels);
    program.keep(embeds);
    await program.compile();
    this.encoder = { program, pixels, embeds };
    return this.encoder;
  }

  private pixelInput(p: Program, images: number): Tensor {
    const { imageSize } = this.networks.vision.config;
    return p.persistent("pixels", [images, 3, imageSize, imageSize]);
  }

  private writePixels(pixels: Tensor, images: readonly RgbImage[], { crop }: Pick<CaptionOptions, "crop">): void {
    images.forEach((image, i) => {
      this.device.write(pixels, preprocess(image, this.preprocessing, { crop }), i);
    });
  }

  private toCaption({ tokens, score, stopped }: Decoded, shape: Omit<GeneratorShape, "images">): Caption {
    const words = [...shape.prompt, ...tokens].filter((id) => !this.isEnd(id));
    return {
      text: this.tokenizer.decode(words, { cleanUp: true }).trim(),
      tokens,
      logprob: score,
      meanLogprob: score / Math.max(1, tokens.length),
      finished: stopped,
    };
  }

  /** GPT-2's end of text stops a caption and is no word of it. */
  private isEnd(id: number): boolean {
    return id === this.files.gpt2.config.eosId;
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.calls++;
    const result = this.turn
      .then(() => {
        if (!this.closed) return work();
        throw new ClipCapError("bad-usage", `the model ${this.files.manifest.name} was closed; load it again`);
      })
      .finally(() => {
        this.calls--;
        if (this.closed && this.calls === 0) this.free();
      });
    this.turn = result.catch(() => {});
    return result;
  }
}

function openFolder(source: ModelSource, signal?: AbortSignal): ModelFolder {
  if (typeof source === "string" || source instanceof URL) return urlFolder(source, { signal });
  if (source instanceof Map) return mapFolder("the given files", source);
  if (typeof (source as ModelFolder | undefined)?.open === "function") return source as ModelFolder;
  if (typeof (source as ArrayLike<File> | undefined)?.length === "number")
    return filesFolder(source as ArrayLike<File>);
  throw new ClipCapError("bad-usage", "a model is an opened folder, an address, a list of files or a Map of them");
}

function loaderOf(device: Device, files: ModelFiles, options: LoadOptions, made: WeightLoader[]) {
  const parts = [files.clip.weights, files.gpt2.weights, files.mapper.weights];
  const total = parts.reduce((sum, file) => sum + captionBytes(file), 0);
  let loaded = 0;
  return (file: TensorFile, account: string): WeightLoader => {
    const loader = new WeightLoader(device, file, {
      dtype: options.dtype ?? "f32",
      account,
      signal: options.signal,
      onBytes: (bytes) => options.onProgress?.({ loaded: (loaded += bytes), total }),
    });
    made.push(loader);
    return loader;
  };
}

/** Bytes of the tensors that captioning loads: all but CLIP's text tower. */
function captionBytes(file: TensorFile): number {
  const unused = /^(text_model\.|text_projection|logit_scale)/;
  return [...file.tensors.values()].reduce((sum, t) => sum + (unused.test(t.name) ? 0 : t.byteLength), 0);
}
