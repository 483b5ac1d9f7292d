import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { commit } from "../../src/bench/node-head.js";
import type { Screen } from "../../src/cli/screen.js";
import { stopSignal, waitForTheEnd } from "../../src/cli/stop.js";
import { captionsOf, EvalFiles } from "../../src/eval/node-files.js";
import { dataDigest, stamped } from "../../src/eval/node-test-images.js";
import { ClipCap } from "../../src/models/clipcap.js";
import { modelFolder } from "../../src/node/model.js";
import type { Device } from "../../src/runtime/device.js";
import { ClipCapError } from "../../src/runtime/errors.js";
import { embeddingsInput } from "../../src/train/node-embed.js";
import { type Networks, openNetworks } from "../../src/train/node-networks.js";
import { RunFolder } from "../../src/train/node-run-folder.js";
import { train } from "../../src/train/node-train.js";
import { modelDigest } from "../../src/weights/node-digest.js";
import { writeAtomically } from "../../src/weights/node-source.js";
import { clipVisionShapes, gpt2Shapes, mapperShapes, type Shapes } from "../../src/weights/shapes.js";
import type { Material } from "./data.js";
import { type Arm, VARIANTS } from "./experiment.js";

/** What a run's folder holds beside what training writes: what the page says of how it was made. */
export interface Record {
  readonly parameters: { readonly trained: number; readonly total: number };
  /** Wherever the run was begun or went on. */
  readonly adapters: readonly string[];
  readonly commits: readonly string[];
  readonly finished: boolean;
}

export interface Trial {
  readonly arm: Arm;
  readonly record: Record;
  /** Of the run's folder. */
  readonly metrics: string;
  /** By test picture. */
  readonly captions: readonly string[];
}

/** What the numbers come from: a commit counts as changed where files of these are. */
export const MAKING = ["src", "scripts/reproduce", "recipes", "weights"];

/** Two cores under lavapipe: as in `clipcap eval`. */
const CAPTIONED_AT_ONCE = 16;

/**
 * Trains one variant in FOLDER/<variant> and captions the test pictures with its best model; goes on where an earlier call
 * ended, to the same bits, and does nothing where that was finished.
 * @throws ClipCapError as training does
 */
export async function runTrial(
  device: Device,
  arm: Arm,
  material: Material,
  { folder, screen }: { readonly folder: string; readonly screen: Screen },
): Promise<Trial> {
  const path = join(folder, arm.variant);
  await mkdir(path, { recursive: true });
  const recordFile = join(path, "record.json");
  let record = existsSync(recordFile) ? (JSON.parse(await readFile(recordFile, "utf8")) as Record) : undefined;
  if (!record?.finished) {
    const networks = await openNetworks(arm.config);
    try {
      record = {
        parameters: countParameters(networks, arm),
        adapters: withOne(record?.adapters, device.adapter.description),
        commits: withOne(record?.commits, commit(MAKING)),
        finished: false,
      };
      await writeJson(recordFile, record);
      await trainArm(device, arm, material, networks, path, screen);
    } finally {
      await networks.close();
    }
    record = { ...record, finished: true };
    await writeJson(recordFile, record);
  }
  const captions = await captionTest(device, path, arm, material, screen);
  return { arm, record, metrics: await readFile(join(path, "metrics.jsonl"), "utf8"), captions };
}

async function trainArm(
  device: Device,
  { variant, json, config }: Arm,
  { training, embeddings }: Material,
  networks: Networks,
  path: string,
  screen: Screen,
): Promise<void> {
  const shape = { width: networks.clip.config.vision.projection, f16: config.data.f16Embeddings };
  const input = (set: Material["test"]) => embeddingsInput(embeddings, set, shape);
  const run = await RunFolder.take(path);
  let ended = () => {};
  const what = `training: ${VARIANTS[variant].title}`;
  try {
    await train(device, {
      run,
      json,
      config,
      networks,
      data: training,
      embeddings: { train: input(training.train), dev: input(training.dev) },
      resume: true,
      signal: stopSignal,
      onBegin: () => {
        ended = waitForTheEnd();
      },
      onStep: (step, total, { tokens }) => screen.progress(what, step, total, `${Math.round(tokens)} tokens/s`),
      onLine: ({ kind, epoch, loss, bleu4 }) => {
        if (kind !== "dev") return;
        const [e, l, b] = [epoch, loss, bleu4].map((x) => (x as number).toFixed(3));
        screen.print(`${variant}: epoch ${e}, validation loss ${l}, BLEU-4 ${b}`);
      },
    });
    stopSignal.throwIfAborted();
  } finally {
    ended();
    run.release();
  }
}

/** Greedy captions of the test pictures, batch by batch on the disk. */
async function captionTest(
  device: Device,
  run: string,
  { variant }: Arm,
  { test, embeddings }: Material,
  screen: Screen,
): Promise<string[]> {
  const batch = CAPTIONED_AT_ONCE;
  const best = await modelFolder(join(run, "best"));
  const width = embeddings.get(test[0]!.id)!.length;
  const identity = {
    model: variant,
    weights: await modelDigest(best),
    data: dataDigest(test),
    decoding: "greedy",
    batch,
  };
  const files = await EvalFiles.open(join(run, "captions"), identity, { images: await stamped(test), batch, width });
  if (files.lines.length < test.length) {
    const model = await ClipCap.load(device, await modelFolder(join(run, "best")), { signal: stopSignal });
    try {
      for (let i = files.lines.length; i < test.length; i += batch) {
        screen.progress(`captioning: ${VARIANTS[variant].title}`, i, test.length);
        const some = test.slice(i, i + batch);
        const vectors = some.map(({ id }) => embeddings.get(id)!);
        const captions = await model.captionEmbeddings(vectors, { batch, signal: stopSignal });
        const lines = captions.map(([best], k) => {
          const { text, tokens, logprob } = best!;
          return { id: some[k]!.id, caption: text, tokens, logprob: Number(logprob.toPrecision(7)) };
        });
        await files.append(lines, vectors);
      }
    } finally {
      model.close();
    }
  }
  return captionsOf(files.lines).map(({ caption }) => caption);
}

/** Of what makes captions: CLIP's vision tower, mapper, GPT-2. */
function countParameters({ clip, mapper, gpt2 }: Networks, { config }: Arm): Record["parameters"] {
  const sizes = {
    clip: countOf(clipVisionShapes(clip.config.vision)),
    mapper: countOf(mapperShapes(mapper.config)),
    gpt2: countOf(gpt2Shapes(gpt2.config)),
  };
  const trained = config.train.reduce((n, part) => n + sizes[part], 0);
  return { trained, total: sizes.clip + sizes.mapper + sizes.gpt2 };
}

function countOf(shapes: Shapes): number {
  return [...shapes.values()].reduce((n, shape) => n + shape.reduce((m, d) => m * d, 1), 0);
}

/**
 * A run of another budget in FOLDER/<variant> must not pass for this one.
 * @throws ClipCapError `bad-usage` naming the first difference
 */
export async function refuseOther(folder: string, { variant, json }: Arm): Promise<void> {
  const path = join(folder, variant);
  const file = join(path, "config.json");
  if (!existsSync(file)) return;
  const there = JSON.parse(await readFile(file, "utf8"));
  const fields = [...new Set([...Object.keys(there), ...Object.keys(json)])];
  const shown = (value: unknown) => JSON.stringify(value) ?? "nothing";
  const other = fields.find((field) => shown(there[field]) !== shown(json[field]));
  if (other === undefined) return;
  throw new ClipCapError(
    "bad-usage",
    `${path} was trained with another configuration ("${other}" is ${shown(there[other])} there and ` +
      `${shown(json[other])} now); name another folder with --out, or delete it`,
  );
}

function withOne(list: readonly string[] = [], one: string): readonly string[] {
  return list.includes(one) ? list : [...list, one];
}

export async function writeJson(path: string, value: unknown): Promise<void> {
  const text = `${JSON.stringify(value, null, 1)}\n`;
  await writeAtomically(path, (sink) => sink.write(Buffer.from(text)));
}
