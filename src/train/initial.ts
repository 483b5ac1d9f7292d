import { random } from "../data/random.js";
import type { ClipConfig, Gpt2Config, MapperConfig } from "../weights/config.js";
import { clipTextShapes, clipVisionShapes, gpt2Shapes, mapperShapes, type Shapes } from "../weights/shapes.js";
import { elementCount, rowRange, type TensorFile, type TensorInfo, tensorInfo } from "../weights/tensor-file.js";

/** How the values of a tensor are drawn before training. */
type Rule =
  | { readonly type: "constant"; readonly value: number }
  | { readonly type: "normal"; readonly std: number }
  | { readonly type: "uniform"; readonly bound: number };

const constant = (value: number): Rule => ({ type: "constant", value });
const normal = (std: number): Rule => ({ type: "normal", std });

/** ln(1 / 0.07), the inverse temperature that CLIP's contrastive loss starts with. */
const LOGIT_SCALE = 2.6592;

/** Standard deviations of the vision tower's embeddings. */
export interface InitialEmbeddings {
  readonly patches: number;
  readonly positions: number;
}

/** As transformers has them. */
export const INITIAL_EMBEDDINGS: InitialEmbeddings = { patches: 0.02, positions: 0.02 };

/** CLIP as transformers initialises it (CLIPPreTrainedModel, factor 1): deviations follow width and depth of a tower. */
export function initialClip(c: ClipConfig, seed: number, vision = INITIAL_EMBEDDINGS): TensorFile {
  const shapes: Shapes = new Map([...clipVisionShapes(c.vision), ...clipTextShapes(c.text)]);
  return initialFile("CLIP", shapes, seed, (name) => {
    if (name === "logit_scale") return constant(LOGIT_SCALE);
    const { width, layers } = name.startsWith("text") ? c.text : c.vision;
    const narrow = width ** -0.5;
    if (/norm\d?\.weight$/.test(name)) return constant(1);
    if (name.endsWith(".bias")) return constant(0);
    if (/_projection\.weight$|class_embedding$|out_proj\.weight$/.test(name)) return normal(narrow);
    if (/[qkv]_proj\.weight$|fc2\.weight$/.test(name)) return normal(narrow * (2 * layers) ** -0.5);
    if (name.endsWith("fc1.weight")) return normal((2 * width) ** -0.5);
    if (name.startsWith("vision")) return normal(name.includes("patch") ? vision.patches : vision.positions);
    return normal(0.02); // embeddings of tokens and positions
  });
}

/** GPT-2 as transformers initialises it: 0.02, and less where a block adds to the residual stream. */
export function initialGpt2(c: Gpt2Config, seed: number): TensorFile {
  return initialFile("GPT-2", gpt2Shapes(c), seed, (name) => {
    if (/ln_(\d|f)\.weight$/.test(name)) return constant(1);
    if (name.endsWith(".bias")) return constant(0);
    return normal(name.endsWith("c_proj.weight") ? 0.02 / Math.sqrt(2 * c.layers) : 0.02);
  });
}

/** Either mapper as torch initialises its layers; the constant prefix has deviation 1 (docs/facts.md 1). */
export function initialMapper(c: MapperConfig, seed: number): TensorFile {
  const shapes = mapperShapes(c);
  return initialFile("mapper", shapes, seed, (name) => {
    if (name.endsWith("prefix_const")) return normal(1);
    if (/norm\d\.weight$/.test(name)) return constant(1);
    if (/norm\d\.bias$/.test(name)) return constant(0);
    const [, inputs] = shapes.get(name.replace(/bias$/, "weight"))!;
    return { type: "uniform", bound: inputs! ** -0.5 };
  });
}

/** A TensorFile whose F32 values are drawn when they are read: value i of a tensor depends on (seed, name, i) alone. */
function initialFile(what: string, shapes: Shapes, seed: number, ruleOf: (name: string) => Rule): TensorFile {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shape] of shapes) {
    tensors.set(name, { name, dtype: "F32", shape, byteOffset: 0, byteLength: 4 * elementCount(shape)! });
  }
  const file: TensorFile = {
    name: `untrained ${what} (seed ${seed})`,
    metadata: {},
    tensors,
    async readBytes(name, start = 0, length = tensorInfo(file, name).byteLength - start) {
      return new Uint8Array((await file.readF32(name)).buffer).slice(start, start + length);
    },
    async readF32(name, options = {}) {
      const { first, count } = rowRange(tensorInfo(file, name), options.rows);
      return draw(ruleOf(name), random(seed, "initial", name), first, count);
    },
  };
  return file;
}

function draw(rule: Rule, numbers: ReturnType<typeof random>, first: number, count: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(count);
  if (rule.type === "constant") return out.fill(rule.value);
  for (let i = 0; i < count; i++) {
    out[i] =
      rule.type === "normal" ? rule.std * numbers.normal(first + i) : rule.bound * (2 * numbers.uniform(first + i) - 1);
  }
  return out;
}
