import { createHash } from "node:crypto";
import { type CaptionDataset, type CaptionedImage, splitByImage } from "../data/captions/dataset.js";
import { openDataset } from "../data/captions/node-open.js";
import { MAX_SHOWN, type ProblemLog, problemSummary } from "../data/captions/problems.js";
import { checkCaption } from "../data/scenes/captions.js";
import { DRAWING_VERSION, type SceneImage, sceneDataset } from "../data/scenes/dataset.js";
import { endOfText } from "../models/clip.js";
import type { Text } from "./batch.js";
import type { TrainConfig } from "./config.js";
import { type Networks, SCENES } from "./node-networks.js";

export interface TrainingData {
  readonly train: readonly CaptionedImage[];
  readonly dev: readonly CaptionedImage[];
  readonly problems: ProblemLog;
  /** Names the pictures and captions, in their order: a resumed run must see the same. */
  readonly digest: string;
  /** Ids of the pictures that were left out, since they are missing or cannot be read. */
  readonly leftOut: readonly string[];
  /** Of the pictures, by id, where the data brings them along. */
  readonly embeddings?: CaptionDataset["embeddings"];
  /** Whether a caption of one of the pictures is wholly right, where that can be told. */
  readonly isRight?: (image: CaptionedImage, caption: string) => boolean;
}

/**
 * Opens the data of a run without the pictures that are missing.
 * @param leftOut of a run that is taken up again: it goes on with the pictures that it began with, also those that went since
 * @throws ClipCapError `not-found`, `io`, `bad-input`
 */
export async function openTrainingData(
  { data, seed }: TrainConfig,
  leftOut?: ReadonlySet<string>,
): Promise<TrainingData> {
  if (data.source === SCENES) return openScenes(data.scenes, seed);
  const set = await openDataset(data.source, {
    images: data.images,
    format: data.format,
    normalise: data.normalise,
    rawOrientation: data.rawOrientation,
    keepMissing: true, // so that a picture that goes missing moves no other to the other side of the split
  });
  const { train, dev } = splitByImage(set.images, { fraction: data.dev, seed });
  const { problems, embeddings } = set;
  const all = { train, dev, problems, digest: digestOf([train, dev]), leftOut: [], embeddings };
  return filterData(all, ({ id, missing }) => (leftOut ? !leftOut.has(id) : !missing));
}

function openScenes({ train, dev, size }: TrainConfig["data"]["scenes"], seed: number): TrainingData {
  const { images, problems } = sceneDataset({ seed, size, train, dev, test: 0 });
  const of = (split: "train" | "dev") => images.filter((image) => image.split === split);
  return {
    train: of("train"),
    dev: of("dev"),
    problems,
    leftOut: [],
    digest: `scenes ${DRAWING_VERSION} ${seed} ${train} ${dev} ${size}`,
    isRight: (image, caption) => checkCaption(caption, (image as SceneImage).scene).right,
  };
}

/** The data without the pictures that `keeps` refuses. */
export function filterData(data: TrainingData, keeps: (image: CaptionedImage) => boolean): TrainingData {
  const leftOut = [...data.train, ...data.dev].filter((image) => !keeps(image)).map(({ id }) => id);
  if (leftOut.length === 0) return data;
  const [train, dev] = [data.train.filter(keeps), data.dev.filter(keeps)];
  return { ...data, train, dev, digest: digestOf([train, dev]), leftOut: [...data.leftOut, ...leftOut] };
}

function digestOf(sets: readonly (readonly CaptionedImage[])[]): string {
  const hash = createHash("sha256");
  for (const images of sets) {
    for (const { id, captions } of images) hash.update(JSON.stringify([id, captions]));
    hash.update("\n");
  }
  return hash.digest("hex");
}

/** What is wrong with the data, in sentences; empty where all is well. */
export function dataWarnings(problems: ProblemLog): string[] {
  const summary = problemSummary(problems);
  return summary === "" ? [] : [summary, ...problems.kept.slice(0, MAX_SHOWN).map(({ message }) => message)];
}

export interface Tokenized {
  /** By picture, then caption. */
  readonly texts: readonly (readonly Text[])[];
  /** Captions that were longer than GPT-2's positions behind the prefix, and were cut. */
  readonly cut: number;
}

/** Captions in GPT-2's tokens and, where `contrastive`, in CLIP's. */
export function tokenize(
  images: readonly CaptionedImage[],
  { clip, gpt2, mapper }: Networks,
  { endToken, contrastive }: { readonly endToken: boolean; readonly contrastive: boolean },
): Tokenized {
  const most = gpt2.config.positions - mapper.config.prefixLength;
  let cut = 0;
  const texts = images.map(({ captions }) =>
    captions.map((caption): Text => {
      const ids = gpt2.tokenizer.encode(caption);
      if (endToken) ids.push(gpt2.config.eosId);
      if (ids.length > most) cut++;
      return { gpt2: ids.slice(0, most), clip: contrastive ? clipIds(caption, clip) : [] };
    }),
  );
  return { texts, cut };
}

/** Start, words and end, without the padding behind it. */
function clipIds(caption: string, { tokenizer, config }: Networks["clip"]): number[] {
  const ids = tokenizer.encodeClip(caption, config.text.positions);
  return ids.slice(0, endOfText(ids, config.text) + 1);
}
