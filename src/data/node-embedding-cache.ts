// CLIP embeddings that are computed once per image. A folder of shards, each a safetensors file that is complete or absent:
//   NNNNNN-xxxxxxxx.rows.safetensors   "embeddings" F32 [images, width]; "ids" and "stamps" of the images row by row, U8,
//                                      each a JSON list; metadata: "fingerprint" of the model
// The lists are tensors and not metadata because JSON in the header's JSON takes 0.15 s to read for 100,000 images.
// Of an id that occurs twice the later shard counts, so that a changed image is simply added again.
import { randomBytes } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import { arrayEntry, type TensorEntry, writeSafetensors } from "../weights/node-safetensors.js";
import { fileError, openFile } from "../weights/node-source.js";
import { openSafetensors } from "../weights/safetensors.js";
import type { ByteSource } from "../weights/source.js";

/** What embeddings belong to. */
export interface EmbeddingModel {
  /** Equal for equal weights and preprocessing, and only then. */
  readonly fingerprint: string;
  /** Numbers per embedding. */
  readonly width: number;
}

export interface EmbeddingEntry {
  readonly id: string;
  /** Changes when the image may have changed. */
  readonly stamp: string;
  /** `width` finite numbers. */
  readonly embedding: Float32Array;
}

/** All embeddings side by side, for searching. */
export interface EmbeddingTable {
  readonly ids: readonly string[];
  /** [ids.length, width] */
  readonly vectors: Float32Array;
}

interface Shard {
  readonly ids: readonly string[];
  readonly stamps: readonly string[];
  /** [ids.length, width] */
  readonly vectors: Float32Array;
}

const SHARD_NAME = /^(\d{6})-[0-9a-f]{8}\.rows\.safetensors$/;

/**
 * Embeddings of one model on disk, all of them in memory while it is open (100,000 of 512 numbers take 205 MB). Killed at
 * any moment it loses at most the shard being written. Several processes may add to one folder; each sees the others' shards
 * when it opens it next.
 */
export class EmbeddingCache {
  readonly #rows = new Map<string, number>();
  #stamps: string[] = [];
  /** Room for more rows than there are. */
  #vectors: Float32Array = new Float32Array(0);
  readonly #files: string[] = [];
  #next = 0;

  private constructor(
    readonly folder: string,
    readonly model: EmbeddingModel,
  ) {}

  /**
   * Reads the shards in `folder`, which need not exist.
   * @throws ClipCapError `bad-input` where they belong to another model, `bad-weights` where one is damaged, `io`
   */
  static async open(folder: string, model: EmbeddingModel): Promise<EmbeddingCache> {
    const cache = new EmbeddingCache(folder, model);
    for (const name of await shardNames(folder)) {
      const shard = await readShard(join(folder, name), model).catch((error) => {
        if ((error as { code?: unknown }).code !== "not-found") throw error;
      });
      if (!shard) return EmbeddingCache.open(folder, model); // another process compacted meanwhile
      cache.#include(shard);
      cache.#files.push(name);
      cache.#next = Number(SHARD_NAME.exec(name)![1]) + 1;
    }
    return cache;
  }

  /** Images. */
  get size(): number {
    return this.#rows.size;
  }

  /** Row in `table()` of an image as it is now; undefined where it is unknown or has changed. */
  row(id: string, stamp: string): number | undefined {
    const row = this.#rows.get(id);
    return row !== undefined && this.#stamps[row] === stamp ? row : undefined;
  }

  /** The embedding of an image as it is now, a view to be read only; undefined where it is unknown or has changed. */
  get(id: string, stamp: string): Float32Array | undefined {
    return this.row(id, stamp) === undefined ? undefined : this.last(id);
  }

  /** The last embedding of an image, also of one that has changed or is gone; a view to be read only. */
  last(id: string): Float32Array | undefined {
    const row = this.#rows.get(id);
    const { width } = this.model;
    return row === undefined ? undefined : this.#vectors.subarray(row * width, (row + 1) * width);
  }

  /**
   * Writes the entries as one shard; afterwards they are known. Each call makes a file: add some hundreds at once.
   * @throws ClipCapError `bad-input` for a wrong width, NaN or infinity (nothing is written then), `io`
   */
  async add(entries: readonly EmbeddingEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const { width } = this.model;
    const vectors = new Float32Array(entries.length * width);
    entries.forEach(({ id, embedding }, i) => {
      checkEmbedding(id, embedding, width);
      vectors.set(embedding, i * width);
    });
    const shard = { ids: entries.map(({ id }) => id), stamps: entries.map(({ stamp }) => stamp), vectors };
    await this.#write(shard);
    this.#include(shard);
  }

  /** All embeddings in the order in which their images were first added, without a copy, to be read only. */
  table(): EmbeddingTable {
    return { ids: [...this.#rows.keys()], vectors: this.#vectors.subarray(0, this.size * this.model.width) };
  }

  /** Makes one shard of all, without embeddings that were replaced, so that the next opening reads one file. */
  async compact(): Promise<void> {
    if (this.#files.length < 2) return;
    const old = [...this.#files];
    await this.#write({ ...this.table(), stamps: this.#stamps });
    // Killed before the end of this, the old shards repeat what the new one says.
    for (const name of old) await rm(join(this.folder, name), { force: true });
    this.#files.splice(0, old.length);
  }

  async #write({ ids, stamps, vectors }: Shard): Promise<void> {
    const { fingerprint, width } = this.model;
    const number = String(this.#next++).padStart(6, "0");
    // Another process may be at the same number.
    const name = `${number}-${randomBytes(4).toString("hex")}.rows.safetensors`;
    const embeddings = arrayEntry({ name: "embeddings", dtype: "F32", shape: [ids.length, width] }, vectors);
    const entries = [embeddings, jsonEntry("ids", ids), jsonEntry("stamps", stamps)];
    await writeSafetensors(join(this.folder, name), entries, { fingerprint });
    this.#files.push(name);
  }

  #include({ ids, stamps, vectors }: Shard): void {
    const { width } = this.model;
    if (this.size === 0)
      this.#vectors = vectors; // as a rule that is all: a copy of 100,000 takes 0.1 s
    else this.#reserve((this.size + ids.length) * width);
    const inPlace = this.#vectors === vectors;
    for (const [i, id] of ids.entries()) {
      const row = this.#rows.get(id) ?? this.size;
      this.#rows.set(id, row);
      this.#stamps[row] = stamps[i]!;
      if (!inPlace || row < i) this.#vectors.set(vectors.subarray(i * width, (i + 1) * width), row * width);
    }
  }

  /** Doubles the room, so that many small additions copy each row a few times only. */
  #reserve(numbers: number): void {
    if (numbers <= this.#vectors.length) return;
    const larger = new Float32Array(Math.max(numbers, 2 * this.#vectors.length));
    larger.set(this.#vectors);
    this.#vectors = larger;
  }
}

function jsonEntry(name: string, list: readonly string[]): TensorEntry {
  const bytes = Buffer.from(JSON.stringify(list));
  return arrayEntry({ name, dtype: "U8", shape: [bytes.length] }, bytes);
}

function checkEmbedding(id: string, embedding: Float32Array, width: number): void {
  if (embedding.length !== width) {
    throw new ClipCapError("bad-input", `The embedding of ${id} has ${embedding.length} numbers instead of ${width}.`);
  }
  const wrong = findNonFinite(embedding);
  if (wrong < 0) return;
  throw new ClipCapError(
    "bad-input",
    `The embedding of ${id} has ${embedding[wrong]} at position ${wrong}; it was not kept. Check the model's weights.`,
  );
}

/** 0 x is 0 for a finite x alone, so that a sum tells of all at once: 0.04 s over 100,000 embeddings, a test of each 0.1. */
function findNonFinite(values: Float32Array): number {
  let zero = 0;
  for (let i = 0; i < values.length; i++) zero += 0 * values[i]!;
  return zero === 0 ? -1 : values.findIndex((value) => !Number.isFinite(value));
}

async function shardNames(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return [];
    throw fileError(folder, cause);
  });
  return names.filter((name) => SHARD_NAME.test(name)).sort();
}

async function readShard(path: string, model: EmbeddingModel): Promise<Shard> {
  const source = await openFile(path);
  try {
    const { ids, stamps, vectors } = await readTensors(source, model).catch((error) => {
      if (!(error instanceof ClipCapError) || error.code !== "bad-weights") throw error;
      throw damaged(path, "it is cut short or no safetensors file", error); // its own advice is for weights
    });
    const rows = vectors.length / model.width;
    if (ids?.length !== rows || stamps?.length !== rows) throw damaged(path, "its lists do not fit");
    if (findNonFinite(vectors) >= 0) throw damaged(path, "it holds NaN or infinity");
    return { ids, stamps, vectors };
  } finally {
    await source.close();
  }
}

/** The tensors of a shard; lists that are none are undefined. */
async function readTensors(source: ByteSource, { fingerprint, width }: EmbeddingModel) {
  const file = await openSafetensors(source);
  const { name } = source;
  if (file.metadata.fingerprint !== fingerprint) {
    throw new ClipCapError("bad-input", `${name} holds embeddings of another model; give another folder or delete it.`);
  }
  const shape = file.tensors.get("embeddings")?.shape ?? [];
  if (shape.length !== 2 || shape[1] !== width) {
    const what = `holds embeddings of shape [${shape}], not of ${width} numbers each; delete it`;
    throw new ClipCapError("bad-input", `${name} ${what}, and what it held is embedded again.`);
  }
  const [ids, stamps] = [texts(await file.readBytes("ids")), texts(await file.readBytes("stamps"))];
  return { ids, stamps, vectors: await file.readF32("embeddings") };
}

function damaged(path: string, what: string, cause?: ClipCapError): ClipCapError {
  const message = `${path} is damaged (${what}); delete it, and what it held is embedded again.`;
  return new ClipCapError("bad-weights", message, { cause });
}

function texts(json: Uint8Array): string[] | undefined {
  try {
    const list: unknown = JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString());
    return Array.isArray(list) && list.every((item) => typeof item === "string") ? list : undefined;
  } catch {
    return undefined;
  }
}
