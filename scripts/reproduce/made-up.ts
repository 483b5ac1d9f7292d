// Pictures, captions and networks of a dry run: nothing has to be downloaded, and every format is the real one.
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { sceneDataset } from "../../src/data/scenes/dataset.js";
import { parseClipConfig, parseGpt2Config } from "../../src/weights/config.js";
import { type TensorEntry, writeSafetensors } from "../../src/weights/node-safetensors.js";
import { writeAtomically } from "../../src/weights/node-source.js";
import { clipVisionShapes, gpt2Shapes, type Shapes } from "../../src/weights/shapes.js";
import { syntheticFile } from "../../src/weights/synthetic.js";
import type { Wishes } from "./experiment.js";
import { writeJson } from "./trial.js";

/** Enough for a batch of 40 with one caption of each; in COCO's place for two of 16 with every caption. */
const PICTURES = { flickr8k: { train: 48, dev: 8, test: 8 }, coco: { train: 8, dev: 4, test: 4 } };
const SIZE = 64;
const SMALL = fileURLToPath(new URL("../../weights/flickr8k-small/", import.meta.url));

interface Made {
  readonly file: string;
  readonly split: "train" | "dev" | "test";
  readonly captions: readonly string[];
}

/** Drawn scenes in the place of photos, as JSON lines. */
export async function madeUpFlickr8k(folder: string): Promise<Wishes> {
  const made = await pictures(folder, PICTURES.flickr8k);
  const data = join(folder, "captions.jsonl");
  const lines = made.map((one) => `${JSON.stringify(one)}\n`).join("");
  await writeAtomically(data, (sink) => sink.write(Buffer.from(lines)));
  return { data, images: join(folder, "images") };
}

/** The same as Karpathy's dataset_coco.json, with CLIP ViT-B/32 and GPT-2 small whose weights are random. */
export async function madeUpCoco(folder: string): Promise<Wishes> {
  const made = await pictures(folder, PICTURES.coco);
  const data = join(folder, "dataset_coco.json");
  const splits = { train: "restval", dev: "val", test: "test" };
  await writeJson(data, {
    dataset: "coco",
    images: made.map(({ file, split, captions }, imgid) => ({
      filename: file,
      imgid,
      split: splits[split],
      sentences: captions.map((raw, sentid) => ({ raw, sentid, imgid })),
    })),
  });
  const [clip, gpt2] = [join(folder, "clip"), join(folder, "gpt2")];
  await network(clip, { projection_dim: 512 }, clipVisionShapes(parseClipConfig({}).vision));
  const config = parseGpt2Config({});
  await network(gpt2, { model_type: "gpt2" }, gpt2Shapes(config));
  await fillVocabulary(join(gpt2, "tokenizer.json"), config.vocab);
  return { data, images: join(folder, "images"), clip, gpt2 };
}

async function pictures(folder: string, counts: Readonly<Record<Made["split"], number>>): Promise<Made[]> {
  await mkdir(join(folder, "images"), { recursive: true });
  const { images } = sceneDataset({ seed: 1, size: SIZE, ...counts });
  const made: Made[] = [];
  for (const { id, split, captions, decode } of images) {
    const file = `${id}.png`;
    const path = join(folder, "images", file);
    made.push({ file, split: split!, captions });
    if (existsSync(path)) continue; // its time is what cached embeddings go by
    const { width, height, data } = await decode();
    const png = await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer();
    await writeAtomically(path, (sink) => sink.write(png));
  }
  return made;
}

/** A Hugging Face folder with weights of the formula and the small model's tokenizer. */
async function network(folder: string, config: object, shapes: Shapes): Promise<void> {
  await mkdir(folder, { recursive: true });
  const weights = join(folder, "model.safetensors");
  await writeJson(join(folder, "config.json"), config);
  const part = join(SMALL, folder.endsWith("clip") ? "clip" : "gpt2");
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) await copyFile(join(part, file), join(folder, file));
  if (folder.endsWith("clip")) await writeJson(join(folder, "preprocessor_config.json"), PREPROCESSING);
  if (existsSync(weights)) return;
  const file = syntheticFile(shapes, "full", 1);
  const entries = [...file.tensors.values()].map(
    ({ name, dtype, shape }): TensorEntry => ({
      name,
      dtype,
      shape,
      async *bytes() {
        yield await file.readBytes(name);
      },
    }),
  );
  await writeSafetensors(weights, entries);
}

/** A random GPT-2 says any of its tokens: those that the small vocabulary lacks get words, which no text becomes. */
async function fillVocabulary(file: string, size: number): Promise<void> {
  const tokenizer = JSON.parse(await readFile(file, "utf8"));
  const { vocab } = tokenizer.model;
  for (let id = Object.keys(vocab).length; id < size; id++) vocab[`Ġmade${id}`] = id;
  await writeJson(file, tokenizer);
}

/** Of CLIP ViT-B/32: the short side becomes 224, bicubic, then the centre. */
const PREPROCESSING = {
  image_processor_type: "CLIPImageProcessor",
  size: { shortest_edge: 224 },
  crop_size: { height: 224, width: 224 },
  do_center_crop: true,
  resample: 3,
};
