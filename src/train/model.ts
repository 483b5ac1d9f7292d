import { type ClipText, type ClipVision, loadClipText, loadClipVision } from "../models/clip.js";
import { type Gpt2, loadGpt2 } from "../models/gpt2.js";
import { loadMapper, type Mapper } from "../models/mapper.js";
import { type LoadedTensor, listWeights, WeightLoader } from "../models/weights.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import type { ClipConfig, Gpt2Config, MapperConfig } from "../weights/config.js";
import type { TensorFile } from "../weights/tensor-file.js";
import { type Parameter, ParameterStore } from "./parameters.js";

export const PARTS = ["clip", "mapper", "gpt2"] as const;
export type PartName = (typeof PARTS)[number];

/** A network before training: what it looks like, and its values (a file's, or drawn: see initial.ts). */
export interface PartSource<Config> {
  readonly config: Config;
  readonly file: TensorFile;
  readonly trained: boolean;
}

/** Without `clip` the mapper is fed with embeddings that were computed before. */
export interface ModelSources {
  readonly clip?: PartSource<ClipConfig>;
  readonly mapper: PartSource<MapperConfig>;
  readonly gpt2: PartSource<Gpt2Config>;
}

/** CLIP's towers; the text tower and the temperature only where the contrastive loss needs them. */
export interface Clip {
  readonly vision: ClipVision;
  readonly texts?: { readonly tower: ClipText; readonly logitScale: Tensor };
}

/** The networks of a run on the device: what is trained lies in `store`, the rest in frozen tensors of its own. */
export class TrainingModel {
  private constructor(
    readonly store: ParameterStore,
    readonly clip: Clip | undefined,
    readonly mapper: Mapper,
    readonly gpt2: Gpt2,
    /** Tensors on the device by part, in the order of loading. */
    readonly loaded: ReadonlyMap<PartName, readonly LoadedTensor[]>,
    private readonly loaders: readonly WeightLoader[],
  ) {}

  /**
   * Allocates and fills everything.
   * @param options.contrastive whether CLIP's text tower takes part
   * @throws ClipCapError `bad-weights`, `out-of-memory`, `aborted`; then nothing stays allocated.
   */
  static async create(
    device: Device,
    sources: ModelSources,
    { contrastive, signal }: { readonly contrastive: boolean; readonly signal?: AbortSignal },
  ): Promise<TrainingModel> {
    const { clip, mapper, gpt2 } = sources;
    const loads = {
      clip: (w: WeightLoader) => (clip ? loadClip(w, clip.config, contrastive) : Promise.resolve(undefined)),
      mapper: (w: WeightLoader) => loadMapper(w, mapper.config),
      gpt2: (w: WeightLoader) => loadGpt2(w, gpt2.config),
    };
    const parameters: Parameter[] = [];
    for (const name of PARTS) {
      const source = sources[name];
      if (source?.trained) parameters.push(...asParameters(await listWeights(device, source.file, loads[name])));
    }
    const store = ParameterStore.create(device, parameters);
    const loaders: WeightLoader[] = [];
    const loaderOf = (source: PartSource<unknown>, account: string) => {
      const allocate = source.trained ? (label: string) => store.tensor(label) : undefined;
      const loader = new WeightLoader(device, source.file, { dtype: "f32", account, signal, allocate });
      loaders.push(loader);
      return loader;
    };
    try {
      const towers = clip && (await loads.clip(loaderOf(clip, "clip")));
      const map = await loads.mapper(loaderOf(mapper, "mapper"));
      const language = await loads.gpt2(loaderOf(gpt2, "gpt2"));
      await device.settle();
      await device.idle();
      const names = PARTS.filter((name) => sources[name]);
      const loaded = new Map(names.map((name, i) => [name, loaders[i]!.loaded]));
      return new TrainingModel(store, towers, map, language, loaded, loaders);
    } catch (error) {
      for (const loader of loaders) loader.free();
      store.free();
      throw error;
    }
  }

  free(): void {
    for (const loader of this.loaders) loader.free();
    this.store.free();
  }
}

/** Matrices decay, vectors (biases, norms, the class token) do not. */
function asParameters(listed: readonly LoadedTensor[]): Parameter[] {
  return listed.map(({ tensor: { label: name, shape } }) => ({ name, shape, decay: shape.length > 1 }));
}

async function loadClip(w: WeightLoader, c: ClipConfig, contrastive: boolean): Promise<Clip> {
  const vision = await loadClipVision(w, c.vision);
  if (!contrastive) return { vision };
  return { vision, texts: { tower: await loadClipText(w, c.text), logitScale: await w.vector("logit_scale", [1]) } };
}
