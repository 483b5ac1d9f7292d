import type { Tokenizer } from "../data/tokenizer.js";
import { readClipTokenizer } from "../data/tokenizer-folder.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { Program } from "../runtime/program.js";
import type { Tensor } from "../runtime/tensor.js";
import { type ModelFolder, subfolder } from "../weights/folder.js";
import { openClip, readManifest } from "../weights/model-files.js";
import { requireShapes } from "../weights/names.js";
import { clipTextShapes } from "../weights/shapes.js";
import { type ClipText, clipText, endOfText, loadClipText } from "./clip.js";
import type { LoadOptions } from "./clipcap.js";
import { WeightLoader } from "./weights.js";

/** Texts at once: 32 of 16 tokens are as many rows as eight images of ViT-B/32. */
const BATCH = 32;
/** Lengths are rounded up to this, so that a set of captions takes a handful of recorded programs. */
const TOKEN_STEP = 8;

interface Recorded {
  readonly program: Program;
  readonly ids: Tensor;
  readonly lastRows: Tensor;
  readonly embeds: Tensor;
  readonly shape: string;
}

/** CLIP's text tower of a model folder. Its vectors and those of `ClipCap.embed` compare by their cosine. */
export class ClipTextEncoder {
  private recorded: Recorded | undefined;

  private constructor(
    readonly device: Device,
    private readonly tokenizer: Tokenizer,
    private readonly loader: WeightLoader,
    private readonly tower: ClipText,
  ) {}

  /**
   * Loads the text tower of a model folder.
   * @throws ClipCapError `not-found` where the folder leaves out the tower or its tokenizer, `bad-weights`,
   * `out-of-memory`, `aborted`. Nothing stays allocated after a failure.
   */
  static async load(device: Device, folder: ModelFolder, options: LoadOptions = {}): Promise<ClipTextEncoder> {
    const { dtype = "f32", signal } = options;
    let loader: WeightLoader | undefined;
    try {
      const manifest = await readManifest(folder);
      const clip = await openClip(subfolder(folder, manifest.clip));
      const { text } = clip.config;
      if (!clip.weights.tensors.has("text_projection.weight")) {
        const what = "has no text tower, without which texts and images cannot be compared";
        throw new ClipCapError("not-found", `${clip.folder.name} ${what}; take a CLIP folder that is complete`);
      }
      requireShapes(clip.weights, clipTextShapes(text));
      const tokenizer = await readClipTokenizer(clip.folder);
      checkVocabulary(clip.folder.name, tokenizer, text.vocab);
      loader = new WeightLoader(device, clip.weights, { dtype, account: "clip_text", signal });
      const tower = await loadClipText(loader, text);
      await device.settle();
      await device.idle();
      return new ClipTextEncoder(device, tokenizer, loader, tower);
    } catch (error) {
      loader?.free();
      throw error;
    } finally {
      await folder.close();
    }
  }

  /**
   * Embeddings [E] of texts, not normalised. Texts are cut to the tower's positions, equal ones computed once.
   * @param options.onProgress different texts that are done, and how many there are
   */
  async embed(
    texts: readonly string[],
    options: { readonly signal?: AbortSignal; readonly onProgress?: (done: number, total: number) => void } = {},
  ): Promise<Float32Array[]> {
    const encoded = [...new Set(texts)].map((text) => ({ text, ids: this.encode(text) }));
    encoded.sort((a, b) => a.ids.length - b.ids.length); // equal lengths waste no padding
    const found = new Map<string, Float32Array>();
    for (let i = 0; i < encoded.length; i += BATCH) {
      if (options.signal?.aborted) throw new ClipCapError("aborted", "embedding texts was stopped");
      const batch = encoded.slice(i, i + BATCH);
      const vectors = await this.run(
        batch.map(({ ids }) => ids),
        Math.min(BATCH, encoded.length),
      );
      batch.forEach(({ text }, row) => {
        found.set(text, vectors[row]!);
      });
      options.onProgress?.(found.size, encoded.length);
    }
    return texts.map((text) => found.get(text)!);
  }

  /** Frees the tower's memory; the device stays open. */
  close(): void {
    this.recorded?.program.destroy();
    this.recorded = undefined;
    this.loader.free();
  }

  /** Start, words and end, without padding: what follows the end cannot reach it. */
  private encode(text: string): number[] {
    const { config } = this.tower;
    const ids = this.tokenizer.encodeClip(text, config.positions);
    return ids.slice(0, endOfText(ids, config) + 1);
  }

  /** @param B rows of the program; those beyond `texts` are idle */
  private async run(texts: readonly (readonly number[])[], B: number): Promise<Float32Array[]> {
    const { positions, projection } = this.tower.config;
    const longest = Math.max(...texts.map((ids) => ids.length));
    const T = Math.min(positions, Math.ceil(longest / TOKEN_STEP) * TOKEN_STEP);
    const { program, ids, lastRows, embeds } = await this.recordedFor(B, T);
    const tokens = new Uint32Array(B * T);
    const ends = new Uint32Array(B);
    texts.forEach((own, b) => {
      tokens.set(own, b * T);
      ends[b] = b * T + own.length - 1;
    });
    this.device.write(ids, tokens);
    this.device.write(lastRows, ends);
    const vectors = await program.run({}, [embeds]).f32();
    return texts.map((_, b) => vectors.slice(b * projection, (b + 1) * projection));
  }

  private async recordedFor(B: number, T: number): Promise<Recorded> {
    const shape = `${B}x${T}`;
    if (this.recorded?.shape === shape) return this.recorded;
    this.recorded?.program.destroy();
    this.recorded = undefined; // should the new one fail
    const program = new Program(this.device, "embed texts");
    try {
      const ids = program.persistent("ids", [B * T], "u32");
      const lastRows = program.persistent("last_rows", [B], "u32");
      const { embeds } = clipText(program, this.tower, ids, lastRows, { batch: B, tokens: T });
      program.keep(embeds);
      await program.compile();
      this.recorded = { program, ids, lastRows, embeds, shape };
      return this.recorded;
    } catch (error) {
      program.destroy();
      throw error;
    }
  }
}

/** An id beyond the table would read other memory. The table may be the larger one: some are rounded up. */
function checkVocabulary(folder: string, { vocabSize }: Tokenizer, vocab: number): void {
  if (vocabSize <= vocab) return;
  throw new ClipCapError(
    "bad-weights",
    `${folder}: the tokenizer has ${vocabSize} tokens, but config.json says ${vocab}; use the two files that belong together`,
  );
}
