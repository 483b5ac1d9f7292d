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
import { embeddingInput, type ImageInput } from "./images.js";
import type { TrainingData } from "./node-data.js";
import { type Networks, visionFingerprint } from "./node-networks.js";

export interface EmbedOptions {
  /** What the pictures belong to; those of other data may have the same names. */
  readonly source: string;
  /** Rounded to f16, as the original keeps them. */
  readonly f16: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The embeddings that the data brings along.
 * @throws ClipCapError `bad-input` for another width than CLIP's, or a value that is not finite
 */
export function givenEmbeddings(
  given: NonNullable<TrainingData["embeddings"]>,
  images: readonly CaptionedImage[],
  { config: { vision } }: Pick<Networks["clip"], "config">,
  f16: boolean,
): ImageInput {
  const { width } = given;
  if (width !== vision.projection) {
    throw new ClipCapError(
      "bad-input",
      `the data has embeddings of ${width} values, but this CLIP gives ${vision.projection}; name the CLIP that made them (--clip)`,
    );
  }
  const vectors = new Float32Array(images.length * width);
  for (const [row, { id }] of images.entries()) {
    const vector = given.vectors.get(id)!;
    if (!vector.every(Number.isFinite))
      throw new ClipCapError("bad-input", `the embedding of ${id} is not finite; make it again`);
    vectors.set(vector, row * width);
  }
  return embeddingInput(f16 ? roundedToF16(vectors) : vectors, width);
}

/** Pictures that go through CLIP at once, and embeddings that go to the disk at once. */
const BATCH = 16;
const SHARD = 512;

/** Where embeddings are kept: they are computed once for each CLIP and data set, whatever is trained with them. */
export function embeddingFolder(fingerprint: string, source: string): string {
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const data = createHash("sha256").update(resolve(source)).digest("hex").slice(0, 16);
  return join(caches, "clipcap-webgpu", "embeddings", `${fingerprint.slice(0, 16)}-${data}`);
}

/**
 * CLIP's embeddings of the pictures, from the cache where it has them. CLIP is on the device only meanwhile.
 * @throws ClipCapError `bad-image`, `not-found`, `io`; `bad-weights` for embeddings that are not finite
 */
export async function embedPictures(
  device: Device,
  clip: Networks["clip"],
  images: readonly CaptionedImage[],
  o: EmbedOptions,
): Promise<ImageInput> {
  const fingerprint = await visionFingerprint(clip);
  const width = clip.config.vision.projection;
  const cache = await EmbeddingCache.open(embeddingFolder(fingerprint, o.source), { fingerprint, width });
  const vectors = new Float32Array(images.length * width);
  const missing: { readonly row: number; readonly stamp: string }[] = [];
  for (const [row, { id, stamp }] of images.entries()) {
    const now = await stamp();
    const known = cache.get(id, now);
    if (known) vectors.set(known, row * width);
    else missing.push({ row, stamp: now });
  }
  if (missing.length > 0) {
    const encoder = await Encoder.create(device, clip);
    try {
      await embedMissing(encoder, cache, images, missing, vectors, o);
    } finally {
      encoder.free();
    }
  }
  return embeddingInput(o.f16 ? roundedToF16(vectors) : vectors, width);
}

function roundedToF16(vectors: Float32Array): Float32Array {
  return f16ToF32(f32ToF16(vectors));
}

async function embedMissing(
  encoder: Encoder,
  cache: EmbeddingCache,
  images: readonly CaptionedImage[],
  missing: readonly { readonly row: number; readonly stamp: string }[],
  vectors: Float32Array,
  o: EmbedOptions,
): Promise<void> {
  const { width } = cache.model;
  let entries: EmbeddingEntry[] = [];
  for (let i = 0; i < missing.length; i += BATCH) {
    if (o.signal.aborted)
      throw new ClipCapError("aborted", "embedding the pictures was stopped; it goes on where it was");
    const some = missing.slice(i, i + BATCH);
    const pixels = await Promise.all(
      some.map(async ({ row }) => preprocess(await images[row]!.decode(), encoder.clip.preprocessing)),
    );
    const embeds = await encoder.embed(pixels);
    some.forEach(({ row, stamp }, k) => {
      const embedding = embeds.slice(k * width, (k + 1) * width);
      vectors.set(embedding, row * width);
      entries.push({ id: images[row]!.id, stamp, embedding });
    });
    o.onProgress?.(i + some.length, missing.length);
    if (entries.length < SHARD && i + BATCH < missing.length) continue;
    await cache.add(entries);
    entries = [];
  }
  await cache.compact();
}

/** CLIP's vision tower alone, for BATCH pictures at a time. */
class Encoder {
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

  /** [n, D] for n pictures, at most BATCH; what an earlier call left fills the batch. */
  async embed(pixels: readonly Float32Array[]): Promise<Float32Array> {
    for (const [row, picture] of pixels.entries()) this.program.device.write(this.pixels, picture, row);
    return this.program.run({}, [this.embeds]).f32();
  }

  free(): void {
    this.program.destroy();
    this.loader.free();
  }
}
