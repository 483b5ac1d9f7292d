import { ClipCapError } from "../../runtime/errors.js";
import { asObject, Fields } from "../../weights/json-fields.js";
import { resize } from "./resize.js";
import type { RgbImage } from "./rgb.js";

/**
 * How the centre is rounded when the margin is odd: "torchvision" rounds half to even (the original ClipCap), "hf"
 * rounds down (Hugging Face image processors). They differ by one pixel on some sizes (docs/facts.md 6).
 */
export type CropConvention = "torchvision" | "hf";

/** What a `preprocessor_config.json` asks for, checked. */
export interface Preprocessing {
  /** Size of the result in pixels. */
  readonly width: number;
  readonly height: number;
  /** "exact" ignores the aspect ratio; "shortest" scales the short side to `edge`, then the crop follows. */
  readonly resize: { readonly kind: "exact" } | { readonly kind: "shortest"; readonly edge: number } | undefined;
  readonly rescale: number;
  readonly mean: Triple;
  readonly std: Triple;
}

/** Largest side that a configuration may ask for; the largest CLIP in common use takes 448 pixels. */
const MAX_EDGE = 4096;

type Triple = readonly [number, number, number];

/** Values of OpenAI's CLIP (docs/facts.md 6). */
const EDGE = 224;
const CLIP_MEAN: Triple = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD: Triple = [0.26862954, 0.26130258, 0.27577711];
/** Pillow's number of the bicubic filter. */
const BICUBIC = 3;

/**
 * Reads the contents of a `preprocessor_config.json`. Missing fields get the values of Hugging Face's CLIP image
 * processor (224 px, bicubic, centre crop, 1/255, CLIP mean and standard deviation).
 * @param source name of the file for error messages
 * @throws ClipCapError `bad-weights` for a wrong or unsupported field
 */
export function parsePreprocessorConfig(json: unknown, source = "preprocessor_config.json"): Preprocessing {
  const config = new Fields(source, asObject(source, json));
  config.bool("do_convert_rgb", true); // decoded images always are RGB
  const crop = config.bool("do_center_crop", true) ? size(config, "crop_size") : undefined;
  const doResize = config.bool("do_resize", true);
  if (doResize && config.int("resample", BICUBIC, 0, 5) !== BICUBIC) throw config.error("resample", "3 (bicubic)");
  const doRescale = config.bool("do_rescale", true);
  const normalize = config.bool("do_normalize", true);
  return {
    ...(doResize ? resizing(config, crop) : onlyCrop(config, crop)),
    rescale: doRescale ? config.float("rescale_factor", 1 / 255, 1e-9, 1e9) : 1,
    mean: normalize ? triple(config, "image_mean", CLIP_MEAN, -1e9) : [0, 0, 0],
    std: normalize ? triple(config, "image_std", CLIP_STD, 1e-9) : [1, 1, 1],
  };
}

interface Size {
  readonly width: number;
  readonly height: number;
}

type Geometry = Pick<Preprocessing, "width" | "height" | "resize">;

// A vision tower takes one size only, so a configuration whose result depends on the photo is refused.

function onlyCrop(config: Fields, crop: Size | undefined): Geometry {
  if (crop === undefined) throw config.error("do_center_crop", "true where do_resize is false");
  return { ...crop, resize: undefined };
}

function resizing(config: Fields, crop: Size | undefined): Geometry {
  const value = config.values.size ?? EDGE;
  if (typeof value === "object" && !("shortest_edge" in value)) {
    const exact = size(config, "size");
    if (crop && (crop.width !== exact.width || crop.height !== exact.height)) {
      throw config.error("crop_size", `the ${exact.width}x${exact.height} pixels of "size"`);
    }
    return { ...exact, resize: { kind: "exact" } };
  }
  const edge =
    typeof value === "object"
      ? config.object("size").int("shortest_edge", undefined, 1, MAX_EDGE)
      : side(config, "size");
  if (crop === undefined) throw config.error("do_center_crop", 'true where "size" is the shortest edge');
  if (Math.max(crop.width, crop.height) > edge) throw config.error("crop_size", `at most the ${edge} pixels of "size"`);
  return { ...crop, resize: { kind: "shortest", edge } };
}

function side(config: Fields, key: string): number {
  return config.int(key, EDGE, 1, MAX_EDGE);
}

/** A square given by its side, or {height, width}. */
function size(config: Fields, key: string): Size {
  if (typeof (config.values[key] ?? EDGE) !== "object") return { width: side(config, key), height: side(config, key) };
  const fields = config.object(key);
  const [width, height] = ["width", "height"].map((name) => fields.int(name, undefined, 1, MAX_EDGE));
  return { width: width!, height: height! };
}

function triple(config: Fields, key: string, fallback: Triple, min: number): Triple {
  const value = config.values[key] ?? fallback;
  const fits = Array.isArray(value) && value.length === 3 && value.every((x) => Number.isFinite(x) && x >= min);
  if (!fits) throw config.error(key, `three numbers from ${min} on`);
  return [value[0], value[1], value[2]];
}

/**
 * The pixels the model sees, before normalisation: p.width x p.height.
 * @throws ClipCapError `bad-image` when the configuration only crops and the image is smaller than the crop
 */
export function resizeAndCrop(image: RgbImage, p: Preprocessing, crop: CropConvention = "torchvision"): RgbImage {
  if (p.resize?.kind === "exact") return resize(image, p.width, p.height);
  const [width, height] = p.resize === undefined ? [image.width, image.height] : shortSide(image, p.resize.edge);
  if (width < p.width || height < p.height) {
    const sizes = `${p.width}x${p.height} pixels, but this image has ${width}x${height}`;
    throw new ClipCapError(
      "bad-image",
      `the model's preprocessing crops without resizing to ${sizes}; use a larger image.`,
    );
  }
  const left = cropOffset(width - p.width, crop);
  const top = cropOffset(height - p.height, crop);
  return resize(image, width, height, { left, top, width: p.width, height: p.height });
}

/** Short side `edge`, long side truncated, as torchvision and Hugging Face both do. */
function shortSide(image: RgbImage, edge: number): readonly [number, number] {
  if (image.width <= image.height) return [edge, Math.trunc((edge * image.height) / image.width)];
  return [Math.trunc((edge * image.width) / image.height), edge];
}

function cropOffset(margin: number, convention: CropConvention): number {
  const down = Math.floor(margin / 2);
  return convention === "torchvision" && margin % 2 === 1 && down % 2 === 1 ? down + 1 : down;
}

/**
 * An image as the vision tower takes it: planar [3, p.height, p.width] in f32, (x * rescale - mean) / std with every
 * step rounded to f32, as torchvision and NumPy compute it.
 * @param options.crop default "torchvision", the convention of the original ClipCap
 */
export function preprocess(image: RgbImage, p: Preprocessing, options: { crop?: CropConvention } = {}): Float32Array {
  const { data } = resizeAndCrop(image, p, options.crop);
  const plane = p.width * p.height;
  const out = new Float32Array(3 * plane);
  const table = new Float32Array(256);
  for (let c = 0; c < 3; c++) {
    const mean = Math.fround(p.mean[c]!);
    const std = Math.fround(p.std[c]!);
    for (let v = 0; v < 256; v++) table[v] = Math.fround(Math.fround(v * p.rescale) - mean) / std;
    for (let i = 0; i < plane; i++) out[c * plane + i] = table[data[i * 3 + c]!]!;
  }
  return out;
}
