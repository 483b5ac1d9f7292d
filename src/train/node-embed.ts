import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import type { CaptionedImage } from "../data/captions/dataset.js";
import { preprocess } from "../data/image/preprocess.js";
import { EmbeddingCache, type EmbeddingEntry } from "../data/node-embedding-cache.js";
import { type ClipVision, clipVision, loadClipVision } from "../models/clip.js";
import { WeightLoader } from "../models/weights.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { Program } from "../runtime/program.js";
import { f16ToF32, f32ToF16 } from "../weights/float.js";
import type { TrainConfig } from "./config.js";
import { embeddingInput, type ImageInput } from "./images.js";
import type { TrainingData } from "./node-data.js";
import { type Networks, visionFingerprint } from "./node-networks.js";
import { readOr, type Unreadable } from "./pictures.js";

/** Embeddings by the pictures' ids. */
export type Embeddings = ReadonlyMap<string, Float32Array>;

/** What the mapper is fed with; rounded to f16 as the original keeps them, where asked. */
export function embeddingsInput(
  embeddings: Embeddings,
  images: readonly CaptionedImage[],
  { width, f16 }: { readonly width: number; readonly f16: boolean },
): ImageInput {
  const vectors = new Float32Array(images.length * width);
  for (const [row, { id }] of images.entries()) vectors.set(embeddings.get(id)!, row * width);
  return embeddingInput(f16 ? f16ToF32(f32ToF16(vectors)) : vectors, width);
}

/** The embeddings that the data brings along. @throws ClipCapError `bad-input` for another width than CLIP's */
export function givenEmbeddings(
  { width, vectors }: NonNullable<TrainingData["embeddings"]>,
  { config: { vision } }: Pick<Networks["clip"], "config">,
): Embeddings {
  if (width !== vision.projection) {
    throw new ClipCapError(
      "bad-input",
      `the data has embeddings of ${width} values, but this CLIP gives ${vision.projection}; name the CLIP that made them (--clip)`,
    );
  }
  return vectors;
}

/** Pictures that go through CLIP at once, and embeddings that go to the disk at once. */
const BATCH = 16;
const SHARD = 512;

/** Where embeddings are kept: they are computed once for each CLIP, data set and folder of images that is named. */
export function embeddingFolder(fingerprint: string, { source, images, rawOrientation }: EmbedOptions["data"]): string {
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const hash = createHash("sha256").update(resolve(source));
  if (images !== undefined) hash.update("\0").update(resolve(images)); // no path has a NUL
  const name = `${fingerprint.slice(0, 16)}-${hash.digest("hex").slice(0, 16)}${rawOrientation ? "-raw" : ""}`;
  return join(caches, "clipcap-webgpu", "embeddings", name);
}

export interface EmbedOptions {
  /** What the pictures belong to, since those of other data may have the same names, and which way up they are seen. */
  readonly data: Pick<TrainConfig["data"], "source" | "images" | "rawOrientation">;
  /** Pictures that cannot be read have their last embedding in the cache, where there is one: of a run that goes on. */
  readonly resume?: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * CLIP's embeddings of the pictures, from the cache where it has them. CLIP is on the device only meanwhile. Pictures that
 * cannot be read are reported and have none.
 * @throws ClipCapError `io`; `bad-input` for embeddings that are not finite; `bad-weights` for a damaged cache; `aborted`
 */
export async function embedPictures(
  device: Device,
  clip: Networks["clip"],
  images: readonly CaptionedImage[],
  report: Unreadable,
  o: EmbedOptions,
): Promise<Embeddings> {
  const fingerprint = await visionFingerprint(clip);
  const width = clip.config.vision.projection;
  const cache = await EmbeddingCache.open(embeddingFolder(fingerprint, o.data), { fingerprint, width });
  const embeddings = new Map<string, Float32Array>();
  const gone: Unreadable = (image, error) => {
    report(image, error);
    const last = o.resume ? cache.last(image.id) : undefined;
    if (last) embeddings.set(image.id, last);
  };
  const missing: { readonly image: CaptionedImage; readonly stamp: string }[] = [];
  for (const image of images) {
    const stamp = await readOr(gone, image, image.stamp());
    const known = stamp === undefined ? undefined : cache.get(image.id, stamp);
    if (known) embeddings.set(image.id, known);
    else if (stamp !== undefined) missing.push({ image, stamp });
  }
  if (missing.length === 0) return embeddings;
  const encoder = await Encoder.create(device, clip);
  try {
    for (let i = 0; i < missing.length; i += SHARD) {
      const entries: EmbeddingEntry[] = [];
      for (let k = i; k < Math.min(i + SHARD, missing.length) && !o.signal.aborted; k += BATCH) {
        const batch = missing.slice(k, Math.min(k + BATCH, i + SHARD));
        entries.push(...(await embedBatch(encoder, batch, gone)));
        o.onProgress?.(k + batch.length, missing.length);
      }
      await cache.add(entries);
      if (o.signal.aborted)
        throw new ClipCapError("aborted", "embedding the pictures was stopped; it goes on where it was");
      for (const { id, embedding } of entries) embeddings.set(id, embedding);
    }
  } finally {
    encoder.free();
  }
  await cache.compact();
  return embeddings;
}

async function embedBatch(
  encoder: Encoder,
  batch: readonly { readonly image: CaptionedImage; readonly stamp: string }[],
  report: Unreadable,
): Promise<EmbeddingEntry[]> {
  const width = encoder.clip.config.vision.projection;
  const opened = await Promise.all(
    batch.map(async ({ image, stamp }) => {
      const picture = await readOr(report, image, image.decode());
      return picture && { id: image.id, stamp, pixels: preprocess(picture, encoder.clip.preprocessing) };
    }),
  );
  const readable = opened.filter((one) => one !== undefined);
  const embeds = await encoder.embed(readable.map(({ pixels }) => pixels));
  return readable.map(({ id, stamp }, i) => ({ id, stamp, embedding: embeds.slice(i * width, (i + 1) * width) }));
}

/** CLIP's vision tower alone, for BATCH pictures at a time. */
export class Encoder {
  private constructor(
    private readonly program: Program,
    private readonly loader: WeightLoader,
    private readonly pixels: ReturnType<Program["persistent"]>,
    private readonly embeds: ReturnType<Program["transient"]>,
    readonly clip: Networks["clip"],
  ) {}

  static async create(device: Device, clip: Networks["clip"]): Promise<Encoder> {
    const loader = new WeightLoader(device, clip.file, { dtype: "f32", account: "clip" });
    const program = new Program(device, "embed");
    try {
      const vision: ClipVision = await loadClipVision(loader, clip.config.vision);
      const { imageSize } = clip.config.vision;
      const pixels = program.persistent("pixels", [BATCH, 3, imageSize, imageSize]);
      const { embeds } = clipVision(program, vision, pixels);
      program.keep(embeds);
      await program.compile();
      return new Encoder(program, loader, pixels, embeds, clip);
    } catch (error) {
      program.destroy();
      loader.free();
      throw error;
    }
  }

  /** [n, E] for n pictures, at most BATCH; what an earlier call left fills the batch. */
  async embed(pixels: readonly Float32Array[]): Promise<Float32Array> {
    for (const [row, picture] of pixels.entries()) this.program.device.write(this.pixels, picture, row);
    return this.program.run({}, [this.embeds]).f32();
  }

  free(): void {
    this.program.destroy();
    this.loader.free();
  }
}
