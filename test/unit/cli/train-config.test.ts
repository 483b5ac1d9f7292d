import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConfigFlags, configFrom } from "../../../src/cli/train-config.js";

const before = process.cwd();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clipcap-config-"));
  process.chdir(folder);
});
afterAll(async () => {
  process.chdir(before);
  await rm(folder, { recursive: true });
});

/** A configuration in a file, with flags over it. */
async function over(json: Readonly<Record<string, unknown>> | string, flags: ConfigFlags = {}) {
  const text = typeof json === "string" ? json : JSON.stringify({ data: { source: "x" }, ...json });
  await writeFile("own.json", text);
  return configFrom({ config: "own.json", ...flags });
}

describe("--train-clip and --finetune-gpt2 add to what the configuration trains", () => {
  it.each([
    [{}, { trainClip: true }, ["clip", "mapper"]],
    [{}, { finetuneGpt2: true }, ["mapper", "gpt2"]],
    [{ train: ["clip", "mapper"] }, { finetuneGpt2: true }, ["clip", "mapper", "gpt2"]],
    [{ train: ["gpt2"] }, { trainClip: true }, ["clip", "gpt2"]],
    [{ train: ["clip"] }, { trainClip: true }, ["clip"]],
    [{ train: ["gpt2"] }, {}, ["gpt2"]],
  ])("%j %j", async (json, flags, train) => {
    expect((await over(json, flags)).config.train).toEqual(train);
  });

  it("of a recipe too", async () => {
    const { config } = await configFrom({ config: "scenes", trainClip: true });
    expect(config.train).toEqual(["clip", "mapper", "gpt2"]);
  });
});

describe("--compat", () => {
  it("is the original's, whatever the configuration sets", async () => {
    const { config } = await configFrom({ config: "flickr8k", data: "x", compat: true });
    expect(config.optimizer).toEqual({ variant: "hf2021", beta1: 0.9, beta2: 0.999, eps: 1e-6, weightDecay: 0 });
    expect(config).toMatchObject({ augment: undefined, pool: 1, schedule: { peak: 2e-5, warmup: { steps: 5000 } } });
  });

  it("takes each caption of a picture, but one where the contrastive loss would take two for unlike", async () => {
    const captions = async (flags: ConfigFlags) =>
      (await configFrom({ data: "x", compat: true, ...flags })).config.data.captions;
    expect([await captions({}), await captions({ trainClip: true })]).toEqual(["each", 1]);
  });
});

it("a recipe is found where the run's folder is called like it", async () => {
  for (const name of ["scenes", "flickr8k"]) await mkdir(name);
  expect((await configFrom({ data: "scenes" })).config.name).toBe("scenes");
  expect((await configFrom({ config: "flickr8k", data: "x" })).config.name).toBe("flickr8k");
});

it("a file may begin with a byte order mark", async () => {
  expect((await over('\uFEFF{"name": "windows", "data": {"source": "x"}}')).config.name).toBe("windows");
});

it("what is nested without end is refused in a sentence", async () => {
  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  await expect(over(`{"data": {"source": "x"}, "augment": ${deep}}`)).rejects.toThrow(
    "own.json is nested more than 100 deep.",
  );
});

it("data that nothing names are asked for", async () => {
  await expect(configFrom({})).rejects.toThrow('--data is missing; name a file or folder of captions, or "scenes"');
});
