import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import { Fields, type JsonObject, parseJsonObject } from "../weights/json-fields.js";
import { type TensorEntry, writeSafetensors } from "../weights/node-safetensors.js";
import { fileError, openFile, syncFolder, writeAtomically } from "../weights/node-source.js";
import { openSafetensors } from "../weights/safetensors.js";
import type { TrainConfig } from "./config.js";
import { PARTS } from "./model.js";
import type { NetworkDigests } from "./node-network-digests.js";
import { changedPictures, type PictureDigests } from "./node-picture-digests.js";
import type { Parameter, ParameterKind, ParameterStore } from "./parameters.js";
import { changedSettings, type Settings } from "./settings.js";

/** Where a run stands after an update. */
export interface TrainState {
  /** Updates done. */
  readonly step: number;
  /** The step whose model is in `best`, and its validation loss; without validation pictures it is the latest. */
  readonly best: { readonly step: number; readonly loss: number | undefined } | undefined;
  /** Looks since then. */
  readonly looks: number;
  /** The look at the validation pictures that follows this step was interrupted, and is still to be made. */
  readonly lookDue: boolean;
  /** Names the data: its pictures and captions, in order. */
  readonly data: string;
  readonly pictures: PictureDigests;
  /** Names the parts of the networks that do not change while they learn. */
  readonly networks: NetworkDigests;
  /** What the run is trained with: config.json can be edited. */
  readonly settings: Settings;
}

/** What the optimizer goes on from. */
const KINDS = ["value", "m", "v"] as const satisfies readonly ParameterKind[];
const SPOKEN = { clip: "CLIP", gpt2: "GPT-2", mapper: "mapper" } as const;
const TENSORS = "training.safetensors";
const STATE = "state.json";
const NAME = /^step-(\d+)$/;
const MAX_STATE_BYTES = 2 ** 20;
/** 2 names the networks, the settings and an interrupted look. */
const FORMAT = 2;

/**
 * Writes checkpoints/step-N: parameters with their moments in f32 and where the run stands. The folder gets its name when
 * everything in it is on the disk, so a checkpoint is whole or not there. One tensor at a time is in memory.
 * @throws ClipCapError `io` (a full disk, say); then earlier checkpoints are as they were.
 */
export async function saveCheckpoint(folder: string, store: ParameterStore, state: TrainState): Promise<void> {
  const target = join(folder, `step-${state.step}`);
  const temporary = `${target}.tmp`;
  try {
    await rm(temporary, { recursive: true, force: true }); // of a process that was killed
    await mkdir(temporary, { recursive: true });
    await writeSafetensors(join(temporary, TENSORS), entriesOf(store));
    await saveState(temporary, store, state);
    await syncFolder(temporary);
    await rm(target, { recursive: true, force: true });
    await rename(temporary, target);
    await syncFolder(folder);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    throw fileError(target, cause);
  }
}

/** Writes where the run stands into its checkpoint, whose parameters are those of the same step already. */
export async function saveState(path: string, store: ParameterStore, state: TrainState): Promise<void> {
  const skips = new Uint32Array(await store.device.read(store.skips));
  const text = `${JSON.stringify({ format: FORMAT, ...state, skips: [...skips] }, null, 1)}\n`;
  await writeAtomically(join(path, STATE), (sink) => sink.write(new TextEncoder().encode(text)));
}

function entriesOf(store: ParameterStore): TensorEntry[] {
  return KINDS.flatMap((kind) =>
    store.parameters.map(({ name, shape }) => ({
      name: `${kind}:${name}`,
      dtype: "F32" as const,
      shape,
      async *bytes() {
        yield new Uint8Array((await store.read(name, kind)).buffer);
      },
    })),
  );
}

/** Removes all checkpoints but those of the given steps, and what a killed process left half-written. */
export async function pruneCheckpoints(folder: string, keep: readonly number[]): Promise<void> {
  for (const name of await readdir(folder)) {
    const step = NAME.exec(name)?.[1];
    if (step !== undefined && keep.includes(Number(step))) continue;
    if (step !== undefined || /^step-\d+\.tmp$/.test(name))
      await rm(join(folder, name), { recursive: true, force: true });
  }
}

/** The newest checkpoint, or undefined where there is none. */
export async function latestCheckpoint(folder: string): Promise<string | undefined> {
  const names = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return [];
    throw fileError(folder, cause);
  });
  const steps = names.flatMap((name) => NAME.exec(name)?.[1] ?? []).map(Number);
  return steps.length === 0 ? undefined : join(folder, `step-${Math.max(...steps)}`);
}

/**
 * Puts a checkpoint's values into the store.
 * @param config what the run goes on with
 * @throws ClipCapError `bad-weights` for one of another architecture, other data or other settings where those may not
 * change, or a damaged one; the store may then hold some of it.
 */
export async function loadCheckpoint(
  path: string,
  store: ParameterStore,
  config: TrainConfig,
  { data, pictures, networks }: Pick<TrainState, "data" | "pictures" | "networks">,
): Promise<TrainState> {
  const file = join(path, STATE);
  const text = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ENOENT" && cause.code !== "ENOTDIR") throw fileError(file, cause);
    throw new ClipCapError(
      "bad-weights",
      `${path} is no whole checkpoint: it has no ${STATE}; remove it to go on from the one before, or start a new run`,
    );
  });
  if (text.byteLength > MAX_STATE_BYTES)
    throw new ClipCapError("bad-weights", `${file} has ${text.byteLength} bytes; it is damaged`);
  const { state, skips } = parseState(
    file,
    parseJsonObject(file, text.toString("utf8")),
    NAME.exec(basename(path))?.[1],
  );
  const { refused } = changedSettings(state.settings, config);
  if (refused.length > 0) {
    throw new ClipCapError(
      "bad-weights",
      `${path} was trained with other settings: ${refused.join("; ")}; put config.json back, or start a new run`,
    );
  }
  if (state.data !== data) {
    throw new ClipCapError(
      "bad-weights",
      `${path} was trained on other data; resume with the pictures and captions of its config.json, or start a new run`,
    );
  }
  const changed = changedPictures(state.pictures, pictures);
  if (changed > 0) {
    throw new ClipCapError(
      "bad-weights",
      `${path} was trained on other pictures: ${changed} of ${pictures.length} that were compared show something else now; put them back, or start a new run`,
    );
  }
  checkNetworks(path, state.networks, networks);
  const source = await openFile(join(path, TENSORS));
  try {
    const tensors = await openSafetensors(source);
    for (const parameter of store.parameters) checkParameter(path, parameter, tensors.tensors);
    const expected = store.parameters.length * KINDS.length;
    if (tensors.tensors.size !== expected) {
      throw new ClipCapError(
        "bad-weights",
        `${path} has ${tensors.tensors.size} tensors, but these networks have ${expected}; it belongs to another architecture`,
      );
    }
    for (const kind of KINDS) {
      for (const { name } of store.parameters) {
        const values = await tensors.readF32(`${kind}:${name}`);
        checkValues(path, `${kind}:${name}`, values, kind === "v" ? 0 : -Number.MAX_VALUE);
        store.write(name, values, kind);
      }
      await store.device.idle();
    }
    store.device.write(store.skips, skips);
  } finally {
    await source.close();
  }
  return state;
}

function checkNetworks(path: string, before: NetworkDigests, now: NetworkDigests): void {
  const other = PARTS.find((part) => before[part] !== now[part]);
  if (other === undefined) return;
  throw new ClipCapError(
    "bad-weights",
    `${path} was trained with another ${SPOKEN[other]}: the files that config.json names have changed since; put them back, or start a new run`,
  );
}

function checkParameter(
  path: string,
  { name, shape }: Parameter,
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
): void {
  for (const kind of KINDS) {
    const found = tensors.get(`${kind}:${name}`)?.shape;
    if (found?.join() === shape.join()) continue;
    throw new ClipCapError(
      "bad-weights",
      `${path} belongs to another architecture: ${name} is ${found ? `[${found}]` : "missing"} there and [${shape}] here`,
    );
  }
}

/** No update leaves NaN, infinity or a negative second moment; with one of them the loss would never be finite again. */
function checkValues(path: string, name: string, values: Float32Array, min: number): void {
  const wrong = values.find((value) => !(value >= min && value <= Number.MAX_VALUE));
  if (wrong === undefined) return;
  throw new ClipCapError("bad-weights", `${path} is damaged: ${name} holds ${wrong}; put it back, or start a new run`);
}

/** @param step of the folder's name; with another one inside, the checkpoint would be taken for an old one and removed */
function parseState(
  file: string,
  json: JsonObject,
  step: string | undefined,
): { state: TrainState; skips: Uint32Array } {
  const f = new Fields(file, json);
  if (f.int("format") !== FORMAT) throw f.error("format", `${FORMAT}, the only one this version reads`);
  if (json.step !== Number(step)) throw f.error("step", `${step}, as in the name of its folder`);
  const best = json.best == null ? undefined : f.object("best");
  const networks = f.object("networks");
  const skips = json.skips;
  const fits = Array.isArray(skips) && skips.length === 2 && skips.every((n) => Number.isInteger(n) && n >= 0);
  if (!fits) throw f.error("skips", "two whole numbers");
  const { pictures = [] } = json; // older ones have none
  if (!Array.isArray(pictures) || !pictures.every((digest) => digest === null || typeof digest === "string"))
    throw f.error("pictures", "a list of texts");
  return {
    state: {
      step: f.int("step", undefined, 0, Number.MAX_SAFE_INTEGER),
      best: best && {
        step: best.int("step", undefined, 0),
        loss: best.values.loss == null ? undefined : best.float("loss", undefined, -1e30, 1e30),
      },
      looks: f.int("looks", undefined, 0),
      lookDue: f.bool("lookDue", false),
      data: f.text("data") ?? "",
      pictures,
      networks: {
        clip: networks.text("clip") ?? "",
        gpt2: networks.text("gpt2") ?? "",
        mapper: networks.text("mapper") ?? "",
      },
      settings: f.object("settings").values,
    },
    skips: Uint32Array.from(skips as number[]),
  };
}
