/** Recall of CLIP's embeddings: how often the right text (or picture) is among the k nearest. */
import { bootstrapShare, type Interval } from "../metrics/bootstrap.js";
import { ClipCapError } from "../runtime/errors.js";

export const RECALL_AT = [1, 5, 10] as const;

/** Shares in [0, 1], by RECALL_AT. */
export interface Recall {
  readonly recall: readonly number[];
  readonly ci95: readonly Interval[];
}

export interface Retrieval {
  /** Pictures for which one of their own texts is among the first k of all texts. */
  readonly imageToText: Recall;
  /** Texts for which their own picture is among the first k of all pictures. */
  readonly textToImage: Recall;
}

/**
 * Both ways by cosine. Of equal cosines the earlier picture or text comes first.
 * @param texts embeddings of the texts of each image, at least one each
 * @throws ClipCapError `bad-input` for embeddings of different widths
 */
export function retrieve(images: readonly Float32Array[], texts: readonly (readonly Float32Array[])[]): Retrieval {
  const [pictures, sentences] = [unitRows(images), unitRows(texts.flat())];
  if (pictures.width !== sentences.width) {
    const widths = `${pictures.width} and ${sentences.width}`;
    throw new ClipCapError("bad-input", `embeddings have ${widths} values; take both from one CLIP`);
  }
  const owners = texts.flatMap((own, image) => own.map(() => image));
  const { ofImages, ofTexts } = ranks(pictures, sentences, owners);
  const starts = texts.map(() => 0);
  for (let i = 1; i < texts.length; i++) starts[i] = starts[i - 1]! + texts[i - 1]!.length;
  const textHits = (image: number, k: number) => {
    const own = ofTexts.subarray(starts[image]!, starts[image]! + texts[image]!.length);
    return own.filter((rank) => rank < k).length;
  };
  return {
    imageToText: recallOf(
      images.map(() => 1),
      (image, k) => (ofImages[image]! < k ? 1 : 0),
    ),
    textToImage: recallOf(
      texts.map(({ length }) => length),
      textHits,
    ),
  };
}

/** @param queries of each image, and how many of them hit */
function recallOf(queries: readonly number[], hits: (image: number, k: number) => number): Recall {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const columns = RECALL_AT.map((k) => queries.map((_, image) => hits(image, k)));
  return {
    recall: columns.map((column) => sum(column) / sum(queries)),
    ci95: columns.map((column) => bootstrapShare(column, queries)),
  };
}

interface Rows {
  readonly width: number;
  readonly count: number;
  /** [count, width], each of length 1. */
  readonly values: Float32Array;
}

function unitRows(vectors: readonly Float32Array[]): Rows {
  const width = vectors[0]?.length ?? 0;
  const values = new Float32Array(vectors.length * width);
  vectors.forEach((vector, row) => {
    const length = Math.hypot(...vector) || 1;
    for (let i = 0; i < width; i++) values[row * width + i] = vector[i]! / length;
  });
  return { width, count: vectors.length, values };
}

/**
 * The rank, from 0, of each image's best own text among all texts and of each text's own image among all images. One pass
 * over the products, which for 5,000 images with five texts would take 500 MB.
 */
function ranks(images: Rows, texts: Rows, owners: readonly number[]) {
  const own = owners.map((image, text) => dot(images, image, texts, text));
  const ofTexts = new Uint32Array(texts.count);
  const ofImages = new Uint32Array(images.count);
  const row = new Float64Array(texts.count);
  for (let image = 0; image < images.count; image++) {
    let best = -1;
    for (let text = 0; text < texts.count; text++) {
      const product = dot(images, image, texts, text);
      row[text] = product;
      const owner = owners[text]!;
      if (owner === image && (best < 0 || product > row[best]!)) best = text;
      if (product > own[text]! || (product === own[text]! && image < owner)) ofTexts[text]!++;
    }
    const target = row[best]!;
    ofImages[image] = row.filter((product, text) => product > target || (product === target && text < best)).length;
  }
  return { ofImages, ofTexts };
}

function dot(a: Rows, i: number, b: Rows, j: number): number {
  let sum = 0;
  const { width } = a;
  for (let c = 0, x = i * width, y = j * width; c < width; c++, x++, y++) sum += a.values[x]! * b.values[y]!;
  return sum;
}
