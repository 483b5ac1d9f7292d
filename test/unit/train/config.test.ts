import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { AS_WRITTEN } from "../../../src/data/captions/normalise.js";
import { parseTrainConfig } from "../../../src/train/config.js";

const least = { networks: { clip: "a", gpt2: "b" }, data: { source: "captions.jsonl" } };

it("what is left out is as in the original, but for its mistakes", () => {
  const c = parseTrainConfig(least, "run.json");
  expect(c).toMatchObject({
    train: ["mapper"],
    mapper: { type: "mlp", prefixLength: 10, clipLength: 10, layers: 8 },
    batch: 40,
    microBatch: 40,
    length: { epochs: 10 },
    loss: { caption: 1, contrastive: 0 },
    schedule: { shape: { type: "linear" }, peak: 2e-5, warmup: { fraction: 0.05 } },
    dropout: 0,
    data: { captions: "each", normalise: {}, rawOrientation: false, endToken: false, ignoredId: undefined },
  });
  expect(parseTrainConfig({ ...least, train: ["gpt2", "mapper"] }, "run.json")).toMatchObject({
    train: ["mapper", "gpt2"],
    dropout: 0.1,
  });
});

it("normalisation goes by steps", () => {
  const of = (normalise: unknown) =>
    parseTrainConfig({ ...least, data: { source: "x", normalise } }, "run.json").data.normalise;
  expect(of(true)).toEqual({});
  expect(of(false)).toEqual(AS_WRITTEN);
  expect(of({ lowercase: true, capital: false })).toEqual({ lowercase: true, capital: false });
});

it("with the contrastive loss an epoch takes one caption of a picture, unless the configuration says otherwise", () => {
  const of = (data: object, contrastive: number) =>
    parseTrainConfig({ ...least, train: ["clip"], loss: { contrastive }, data: { source: "x", ...data } }, "run.json")
      .data.captions;
  expect([of({}, 0.5), of({}, 0), of({ captions: "each" }, 0.5), of({ captions: 3 }, 0.5)]).toEqual([
    1,
    "each",
    "each",
    3,
  ]);
});

describe("a wrong value is named, with what is allowed", () => {
  it.each([
    [{ bacth: 3 }, 'run.json: "bacth" must be left out: there is no such setting'],
    [{ batch: 0 }, 'run.json: "batch" must be a whole number from 1 to 65536, not 0.'],
    [{ batch: 40, micro_batch: 7 }, '"micro_batch" must be a divisor of the batch of 40, not 7.'],
    [{ train: [] }, '"train" must be a list of some of clip, mapper, gpt2'],
    [{ train: ["vision"] }, '"train" must be a list of some of clip, mapper, gpt2'],
    [{ networks: { clip: 3, gpt2: "b" } }, 'networks: "clip" must be a folder, or {"config": {…}}'],
    [{ data: {} }, 'data: "source" must be a file or folder of captions, or "scenes"'],
    [{ data: { source: "x", format: "xml" } }, 'data: "format" must be one of jsonl, coco'],
    [{ data: { source: "x", normalise: "yes" } }, 'data: "normalise" must be true, false, or an object of spaces, '],
    [
      { data: { source: "x", normalise: { dots: true } } },
      'normalise: "dots" must be left out: there is no such setting',
    ],
    [{ data: { source: "x", normalise: { period: 1 } } }, 'normalise: "period" must be true or false, not 1.'],
    [{ loss: { contrastive: 1 } }, 'loss: "contrastive" must be 0 unless "train" names clip'],
    [{ loss: { caption: 0 } }, 'loss: "caption" must be above 0'],
    [{ optimizer: { betas: [0.9, 1] } }, 'optimizer: "betas" must be two numbers from 0 to below 1'],
    [{ optimizer: { betas: [null, "0.9"] } }, '"betas" must be two numbers from 0 to below 1, not a list.'],
    [{ augment: { area: ["0.35", "1"] } }, '"area" must be two numbers from 0.01 to 1, the smaller first, not a list.'],
    [{ schedule: { lr: Number.POSITIVE_INFINITY } }, '"lr" must be a number from 0 to 1e+30, not Infinity.'],
    [{ schedule: { type: "linear", final: 0.1 } }, 'schedule: "final" must be left out unless "type" is cosine'],
    [{ augment: { area: [1, 0.5] } }, 'augment: "area" must be two numbers from 0.01 to 1, the smaller first'],
    [{ augment: { flip: true } }, '"augment" must be left out unless "train" names clip'],
    [{ steps: 5, epochs: 1 }, '"epochs" must be left out where "steps" is given, not 1.'],
    [
      { schedule: { warmup_steps: 1, warmup_fraction: 0.1 } },
      '"warmup_fraction" must be left out where "warmup_steps"',
    ],
    [{ mapper: { num_layers: 3 } }, 'mapper: "num_layers" must be left out unless "type" is transformer, not 3.'],
    [{ mapper: { from: "x", prefix_length: 3 } }, '"prefix_length" must be left out where "from" is given, not 3.'],
    [{ evaluate: { every: -1 } }, 'evaluate: "every" must be a whole number from 0'],
  ])("%j", (fields, message) => {
    expect(() => parseTrainConfig({ ...least, ...fields }, "run.json")).toThrow(message);
  });
});

describe("the recipes that come with the package are configurations", () => {
  const folder = new URL("../../../recipes/", import.meta.url);
  it.each(readdirSync(folder))("%s", (name) => {
    const json = JSON.parse(readFileSync(new URL(name, folder), "utf8"));
    expect(parseTrainConfig(json, name).name).toBe(name.replace(".json", ""));
  });

  it.each([
    ["coco-mlp.json", ["mapper", "gpt2"], 0.1, false],
    ["coco-transformer.json", ["mapper"], 0, true],
  ] as const)("%s has the original's settings (docs/facts.md, 2 and 3)", (name, train, dropout, normalizePrefix) => {
    const config = parseTrainConfig(JSON.parse(readFileSync(new URL(name, folder), "utf8")), name);
    expect(config).toMatchObject({
      train,
      dropout,
      normalizePrefix,
      mapper: { prefixLength: 10 },
      batch: 40,
      pool: 1,
      length: { epochs: 10 },
      optimizer: { variant: "hf2021", beta1: 0.9, beta2: 0.999, eps: 1e-6, weightDecay: 0 },
      schedule: { shape: { type: "linear" }, peak: 2e-5, warmup: { steps: 5000 } },
      evaluate: { patience: 0 },
    });
    expect(config.optimizer.maxNorm).toBeUndefined();
  });
});
