import { expect, it } from "vitest";
import { parseTrainConfig } from "../../../src/train/config.js";
import { changedSettings, settingsOf } from "../../../src/train/settings.js";

type Json = Readonly<Record<string, unknown>>;

const BASE: Json = { networks: { clip: "a", gpt2: "b" }, data: { source: "photos.json" }, train: ["clip", "mapper"] };
const parse = (over: Json) => parseTrainConfig({ ...BASE, ...over }, "config.json");
const data = (over: Json): Json => ({ data: { source: "photos.json", ...over } });

/** What is said about a run that began with `BASE`, whose settings were in a file since. */
const changes = (over: Json) => changedSettings(JSON.parse(JSON.stringify(settingsOf(parse({})))), parse(over));

it("a configuration that says the same in other words is the same", () => {
  const same = { seed: 0, batch: 40, micro_batch: 40, epochs: 10, mapper: { type: "mlp" }, loss: { caption: 1 } };
  expect(changes({})).toEqual({ refused: [], allowed: [] });
  expect(changes(same)).toEqual({ refused: [], allowed: [] });
});

it.each<[string, Json]>([
  ["seed 0, now 3", { seed: 3 }],
  ['train ["clip","mapper"], now ["mapper"]', { train: ["mapper"] }],
  ["normalize_prefix false, now true", { normalize_prefix: true }],
  ["mapper.prefix_length 10, now 4", { mapper: { prefix_length: 4, type: "transformer", clip_length: 10 } }],
  ["mapper.num_layers 8, now 2", { mapper: { type: "transformer", num_layers: 2 } }],
  ['data.captions "each", now 2', data({ captions: 2 })],
  ["data.end_token false, now true", data({ end_token: true })],
  ["data.ignored_id null, now 0", data({ ignored_id: 0 })],
  ["data.dev 0.02, now 0.1", data({ dev: 0.1 })],
  ["batch 40, now 20", { batch: 20 }],
  ["pool 16, now 1", { pool: 1 }],
  ["loss.contrastive 0, now 0.5", { loss: { contrastive: 0.5 } }],
  ['optimizer.type "torch", now "hf2021"', { optimizer: { type: "hf2021" } }],
  ["optimizer.betas [0.9,0.999], now [0.9,0.98]", { optimizer: { betas: [0.9, 0.98] } }],
])("refused: %s", (change, over) => {
  expect(changes(over).refused).toContain(change);
});

it.each<[string, Json]>([
  ["epochs 10, now 20", { epochs: 20 }],
  ["steps null, now 5", { steps: 5 }],
  ["micro_batch 40, now 10", { micro_batch: 10 }],
  ['networks.clip {"folder":"a"}, now {"folder":"c"}', { networks: { clip: "c", gpt2: "b" } }],
  ['data.images null, now "photos"', data({ images: "photos" })],
  ["optimizer.max_norm null, now 1", { optimizer: { max_norm: 1 } }],
  ["schedule.lr 0.00002, now 0.001", { schedule: { lr: 0.001 } }],
  ['schedule.type "linear", now "constant"', { schedule: { type: "constant" } }],
  ["schedule.warmup_fraction 0.05, now null", { schedule: { warmup_steps: 3 } }],
  ["dropout 0, now 0.1", { dropout: 0.1 }],
  ["evaluate.patience 0, now 2", { evaluate: { patience: 2 } }],
  ["evaluate.every 0, now 7", { evaluate: { every: 7 } }],
  ["checkpoint_every 0, now 9", { checkpoint_every: 9 }],
  ["max_skipped 10, now 1", { max_skipped: 1 }],
  ['name "clipcap", now "mine"', { name: "mine" }],
  [`augment null, now {"area":[0.5,1],"ratio":[1,1],"flip":false,"jitter":0}`, { augment: { area: [0.5, 1] } }],
])("allowed: %s", (change, over) => {
  expect(changes(over)).toMatchObject({ refused: [], allowed: expect.arrayContaining([change]) });
});

it("a setting that the checkpoint does not know is left out, and a long value cut", () => {
  expect(changedSettings({}, parse({ seed: 3 }))).toEqual({ refused: [], allowed: [] });
  const [change] = changes({ name: "x".repeat(100) }).allowed;
  expect(change).toBe(`name "clipcap", now "${"x".repeat(58)}…`);
});
