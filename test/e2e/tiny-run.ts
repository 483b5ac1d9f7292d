/** Training runs that take a second: networks of width 32 with one layer each, on drawn scenes or on a few pictures. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { picture } from "./cli.js";

type Json = Readonly<Record<string, unknown>>;

const VISION = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2 };

/** A configuration, as it is written to a file; `fields` win. */
export function tinyConfig(fields: Json = {}, clipWidth = 32): Json {
  return {
    name: "tiny",
    train: ["clip", "mapper", "gpt2"],
    networks: {
      clip: {
        config: {
          projection_dim: clipWidth,
          vision_config: { ...VISION, image_size: 32, patch_size: 16 },
          text_config: { ...VISION, max_position_embeddings: 32 },
        },
        tokenizer: "scenes",
      },
      gpt2: { config: { n_positions: 32, n_embd: 32, n_layer: 1, n_head: 2 }, tokenizer: "scenes" },
    },
    mapper: { prefix_length: 2 },
    data: { source: "scenes", scenes: { train: 40, dev: 4, size: 32 } },
    batch: 4,
    steps: 12,
    pool: 1,
    loss: { contrastive: 0.2 },
    schedule: { lr: 0.001, warmup_steps: 2 },
    evaluate: { every: 4, samples: 2 },
    checkpoint_every: 2,
    ...fields,
  };
}

/** The same with frozen CLIP, so that embeddings take its place. */
export function tinyFrozen(fields: Json = {}, clipWidth = 32): Json {
  return tinyConfig({ train: ["mapper"], loss: {}, dropout: 0, ...fields }, clipWidth);
}

export async function writeJson(path: string, value: unknown): Promise<string> {
  await writeFile(path, JSON.stringify(value));
  return path;
}

/** JSON lines of pictures with captions, all in "train" but those that `dev` names. */
export async function writePictures(
  folder: string,
  captions: Readonly<Record<string, readonly string[]>>,
  dev: readonly string[] = [],
): Promise<string> {
  const rows: string[] = [];
  for (const [i, [file, texts]] of Object.entries(captions).entries()) {
    await picture(join(folder, "images", file), 40 * i);
    rows.push(JSON.stringify({ file, captions: texts, split: dev.includes(file) ? "dev" : "train" }));
  }
  const path = join(folder, "captions.jsonl");
  await writeFile(path, `${rows.join("\n")}\n`);
  return path;
}

/** Lines of a run's file without what depends on the clock and on what its process has read back so far. */
export async function runLines(run: string, file: string): Promise<Json[]> {
  const lines = (await readFile(join(run, file), "utf8")).trimEnd().split("\n");
  return lines.map((line) => {
    const { seconds: _s, tokens_per_s: _t, images_per_s: _i, device_bytes: _d, ...rest } = JSON.parse(line);
    return rest;
  });
}
