import type { TrainConfig } from "./config.js";

/** The settings of a run by their names in config.json, nested ones with a dot. */
export type Settings = Readonly<Record<string, unknown>>;

/** Characters of a value that a message shows. */
const SHOWN = 60;

/** What makes a run the one it is: with another value its checkpoint would stand for something else. */
function fixed(c: TrainConfig): Settings {
  const { source: _s, images: _i, format: _f, ...data } = c.data;
  const { from: _m, layers, ...mapper } = c.mapper;
  return {
    seed: c.seed,
    train: c.train,
    normalize_prefix: c.normalizePrefix,
    ...nested("mapper", { ...mapper, numLayers: layers }),
    ...nested("data", data),
    batch: c.batch,
    pool: c.pool,
    ...nested("loss", c.loss),
    ...nested("optimizer", { type: c.optimizer.variant, betas: [c.optimizer.beta1, c.optimizer.beta2] }),
  };
}

/** What may be changed on purpose. Of pictures, captions and networks it is the content that counts, and is checked. */
function free(c: TrainConfig): Settings {
  const { source, images, format } = c.data;
  const { eps, weightDecay, maxNorm } = c.optimizer;
  const { shape, peak, warmup } = c.schedule;
  return {
    name: c.name,
    ...nested("networks", { clip: c.clip, gpt2: c.gpt2 }),
    ...nested("mapper", { from: c.mapper.from }),
    ...nested("data", { source, images, format }),
    augment: c.augment,
    micro_batch: c.microBatch,
    epochs: "epochs" in c.length ? c.length.epochs : undefined,
    steps: "steps" in c.length ? c.length.steps : undefined,
    ...nested("optimizer", { eps, weightDecay, maxNorm }),
    ...nested("schedule", { ...shape, lr: peak }),
    "schedule.warmup_steps": "steps" in warmup ? warmup.steps : undefined,
    "schedule.warmup_fraction": "steps" in warmup ? undefined : warmup.fraction,
    dropout: c.dropout,
    ...nested("evaluate", c.evaluate),
    checkpoint_every: c.checkpointEvery,
    max_skipped: c.maxSkipped,
  };
}

/** All of them, as they are kept in a checkpoint. */
export function settingsOf(config: TrainConfig): Settings {
  const given = { ...fixed(config), ...free(config) };
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value ?? null]));
}

/**
 * What differs from the settings of a checkpoint, each as "batch 4, now 8": `refused` must not, `allowed` may. A setting
 * that the checkpoint does not know is left out.
 */
export function changedSettings(
  before: Settings,
  config: TrainConfig,
): { readonly refused: readonly string[]; readonly allowed: readonly string[] } {
  const now = settingsOf(config);
  const changes = (names: readonly string[]) =>
    names
      .filter((name) => Object.hasOwn(before, name) && show(before[name]) !== show(now[name]))
      .map((name) => `${name} ${shorten(show(before[name]))}, now ${shorten(show(now[name]))}`);
  return { refused: changes(Object.keys(fixed(config))), allowed: changes(Object.keys(free(config))) };
}

function nested(name: string, fields: Settings): Settings {
  const snake = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [`${name}.${snake(key)}`, value]));
}

function show(value: unknown): string {
  return JSON.stringify(value);
}

function shorten(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text;
}
