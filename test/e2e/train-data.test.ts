import { appendFile, link, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { beforeAll, describe, expect, it } from "vitest";
import { f32ToF16 } from "../../src/weights/float.js";
import { goldenJson, goldenPath } from "../goldens.js";
import { clipcap, ROOT, temporaryFolder } from "./cli.js";
import { runLines, tinyConfig, tinyFrozen, writeJson, writePictures } from "./tiny-run.js";

const folder = await temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
/** Embeddings are cached in the test's own folder. */
const env = { XDG_CACHE_HOME: at("cache") };
let runs = 0;
const newRun = () => at(`run${++runs}`);

async function train(json: Readonly<Record<string, unknown>>, ...flags: string[]) {
  const out = newRun();
  const config = await writeJson(`${out}.json`, json);
  return { out, ...(await clipcap(["train", "--config", config, "--out", out, ...flags], { env })) };
}

/** Six pictures with two captions each, in the words of the scenes. */
const CAPTIONS = Object.fromEntries(
  ["red", "blue", "green", "yellow", "white", "black"].map((colour) => [
    `${colour}.png`,
    [`A ${colour} ball.`, `One ${colour} ball.`],
  ]),
);
let pictures: string;
beforeAll(async () => {
  pictures = await writePictures(at("six"), CAPTIONS, ["white.png", "black.png"]);
});

const onPictures = (fields: Readonly<Record<string, unknown>> = {}) =>
  tinyFrozen({ data: { source: pictures }, steps: 2, evaluate: {}, checkpoint_every: 0, ...fields });

describe("wrong usage: one sentence, exit code 2, and no folder is left", () => {
  const data = ["--data", "x.jsonl"];
  it.each([
    [data, "--out is missing; name a folder for the run"],
    [[...data, "--out", "RUN", "--epochs", "1", "--steps", "2"], "give --epochs or --steps, not both"],
    [[...data, "--out", "RUN", "--mapper", "mlp", "--layers", "3"], "belong to --mapper transformer"],
    [
      ["--data", "scenes", "--images", "x", "--out", "RUN"],
      "scenes are drawn; leave --images, --format and --raw-orientation out",
    ],
    [["--out", "RUN", "--resume"], "has no config.json, so there is nothing to resume; leave --resume out to start"],
    [["--out", "RUN", "--resume", "--lr", "1"], "leave --lr out, or edit config.json in --out"],
    [["--out", "RUN"], '--data is missing; name a file or folder of captions, or "scenes"'],
    [["--data", "scenes", "--out", "FILE"], "is a file; name a folder for the run"],
    [["--config", "CONFIG", "--out", "RUN"], '"optimiser" must be left out: there is no such setting'],
    [[...data, "--out", "RUN", "--batch", "8", "--micro-batch", "3"], "must be a divisor of the batch of 8, not 3."],
  ])("%j", async (args, message) => {
    const run = newRun();
    const config = await writeJson(`${run}.json`, { ...tinyConfig(), optimiser: {} });
    const names: Readonly<Record<string, string>> = { RUN: run, CONFIG: config, FILE: config };
    const ran = await clipcap(["train", ...args.map((arg) => names[arg] ?? arg)]);
    expect(ran.stderr).toContain(message);
    expect(ran.stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(ran.exitCode).toBe(2);
    expect(await readdir(folder)).not.toContain(`run${runs}`);
  });

  it("a folder that holds a run", async () => {
    const run = newRun();
    await mkdir(run);
    await writeJson(join(run, "config.json"), {});
    const ran = await clipcap(["train", ...data, "--out", run]);
    expect(ran.stderr).toContain(`${run} holds a training run already; add --resume to go on with it`);
    expect(ran.exitCode).toBe(2);
    expect(await readdir(run)).toEqual(["config.json"]);
  });
});

describe("data that cannot be trained on: one sentence, exit code 1", () => {
  const fails = async (json: Readonly<Record<string, unknown>>, message: string) => {
    const ran = await train(json);
    expect(ran.stderr).toContain(message);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).not.toMatch(/^\s+at /m);
    expect(await readdir(folder)).not.toContain(ran.out.slice(folder.length + 1));
  };

  it("none", async () => {
    await writeFile(at("empty.jsonl"), "");
    await fails(onPictures({ data: { source: at("empty.jsonl") } }), `${at("empty.jsonl")}`);
  });

  it("less than a batch", () =>
    fails(onPictures({ batch: 9 }), "the data has 8 examples, less than one batch of 9; use a smaller batch"));

  it("embeddings of another width", async () => {
    const data = { source: goldenPath("train_data.pkl") };
    await fails(tinyFrozen({ data }, 32), "the data has embeddings of 48 values, but this CLIP gives 32");
  });
});

it("an embedding with NaN in it is said and left out", async () => {
  const bytes = await readFile(goldenPath("train_data.pkl"));
  const { embedding_first4: rows } = goldenJson<{ embedding_first4: number[][] }>("dataset.json");
  const place = bytes.indexOf(Buffer.from(f32ToF16(Float32Array.from(rows[4]!)).buffer));
  expect(place).toBeGreaterThan(0);
  bytes.writeUInt16LE(0x7e00, place + 2);
  await writeFile(at("nan.pkl"), bytes);
  const ran = await train(tinyFrozen({ data: { source: at("nan.pkl") }, batch: 2, steps: 2 }, 48), "--json");
  expect(ran.exitCode, ran.stderr).toBe(0);
  expect(ran.stderr).toContain("the embedding in row 4 holds NaN or infinity");
  const losses = (await runLines(ran.out, "metrics.jsonl")).map(({ loss }) => loss);
  expect(losses.every(Number.isFinite)).toBe(true);
});

it("loss without end: updates are skipped and counted, and the run stops", async () => {
  const ran = await train(
    tinyConfig({ schedule: { type: "constant", lr: 1e30, warmup_steps: 0 }, max_skipped: 2, checkpoint_every: 1 }),
    "--json",
  );
  expect(ran.stderr).toContain("3 updates in a row had a loss or gradient that is not finite, the last of them step 4");
  expect(ran.stderr).toContain("lower the learning rate");
  expect(ran.exitCode).toBe(1);
  const lines = await runLines(ran.out, "metrics.jsonl");
  expect(lines.filter(({ kind }) => kind === "train").map(({ skipped }) => skipped)).toEqual([0, 1, 2]);
});

it("pictures: a broken one is said and left out, long captions are cut and said, CLIP sees each once", async () => {
  const long = Array.from({ length: 40 }, () => "a red ball and").join(" ");
  const source = await writePictures(at("some"), { ...CAPTIONS, "long.png": [long], "text.png": ["A red ball."] }, [
    "white.png",
  ]);
  await writeFile(at("some/images/text.png"), "not a picture");
  const mapper = { type: "transformer", prefix_length: 2, num_layers: 1 };
  const json = onPictures({ data: { source }, mapper, dropout: 0.1 });
  const files = [...Object.keys(CAPTIONS), "long.png"].map((name) => at("some/images", name));
  for (const path of files) await utimes(path, 1e9, 1e9);
  const first = await train(json, "--finetune-gpt2", "--json");
  expect(first.exitCode, first.stderr).toBe(0);
  expect(first.stderr).toContain("pictures that cannot be read are left out: 1");
  expect(first.stderr).toContain("text.png cannot be read as an image");
  expect(first.stderr).toContain("captions longer than GPT-2 has positions for are cut: 1");
  expect((await readFile(join(first.out, "config.json"), "utf8")).includes('"gpt2"')).toBe(true);

  // The same size and time but no picture any more: what was cached is enough.
  for (const path of files) {
    await writeFile(path, Buffer.alloc((await stat(path)).size));
    await utimes(path, 1e9, 1e9);
  }
  const again = await train(json, "--finetune-gpt2", "--json");
  expect(again.exitCode, again.stderr).toBe(0);
  expect(await runLines(again.out, "metrics.jsonl")).toEqual(await runLines(first.out, "metrics.jsonl"));
});

describe("pictures that break or go while a run stands still: it goes on with all that it began with", () => {
  /** A run of two steps on six pictures, one that is none and one that is not there; then two more go, and two more steps. */
  async function interrupted(name: string, fields: Readonly<Record<string, unknown>>) {
    const source = await writePictures(at(name), { ...CAPTIONS, "text.png": ["A red ball."] }, [
      "white.png",
      "black.png",
    ]);
    await writeFile(at(name, "images/text.png"), "not a picture");
    await appendFile(source, '{"file":"nowhere.png","captions":["A red ball."]}\n{"file":3}\n');
    const first = await train({ ...fields, data: { source }, batch: 2, steps: 2, evaluate: {}, checkpoint_every: 0 });
    expect(first.exitCode, first.stderr).toBe(0);
    expect(first.stderr).toContain(`all of it is in ${join(first.out, "problems.jsonl")}`);
    await writeFile(at(name, "images/red.png"), "not a picture any more");
    await rm(at(name, "images/black.png"));
    const config = JSON.parse(await readFile(join(first.out, "config.json"), "utf8"));
    await writeJson(join(first.out, "config.json"), { ...config, steps: 6 });
    const again = await clipcap(["train", "--out", first.out, "--resume"], { env });
    const problems = await runLines(first.out, "problems.jsonl");
    return { ...again, source, problems };
  }
  const begun = (source: string, name: string) => [
    { kind: "row", file: source, line: 9, reason: expect.stringContaining("file") },
    { kind: "image", file: source, line: 8, reason: 'the image "nowhere.png" does not exist' },
    { kind: "picture", file: source, line: 7, reason: expect.stringContaining(at(name, "images/text.png")) },
  ];
  const since = (source: string) => [
    { kind: "picture", file: source, line: 6, reason: 'the image "black.png" does not exist' },
    { kind: "picture", file: source, line: 1, reason: expect.stringContaining("red.png cannot be read as an image") },
  ];

  it("with CLIP trained, as grey ones", async () => {
    const { exitCode, stderr, source, problems } = await interrupted("clip", tinyConfig());
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain("and were grey to the network: 2");
    expect(problems.slice(0, 3)).toEqual(begun(source, "clip"));
    expect(problems.slice(3)).toHaveLength(2);
    expect(problems.slice(3)).toEqual(expect.arrayContaining(since(source)));
  });

  it("with CLIP frozen, by the embeddings that they had", async () => {
    const { exitCode, stderr, source, problems } = await interrupted("frozen", tinyFrozen());
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain("pictures that cannot be read any more: 2");
    expect(problems.slice(0, 3)).toEqual(begun(source, "frozen"));
    expect(problems.slice(3)).toHaveLength(2);
    expect(problems.slice(3)).toEqual(expect.arrayContaining(since(source)));
  });
});

it("--dry-run reads no pictures: a broken one is no reason to fail where the run would not", async () => {
  const source = await writePictures(at("unread"), CAPTIONS, ["white.png"]);
  await writeFile(at("unread/images/white.png"), "not a picture");
  const ran = await train(tinyConfig({ data: { source } }), "--dry-run", "--json");
  expect(ran.exitCode, ran.stderr).toBe(0);
  expect(JSON.parse(ran.stdout).examples).toEqual({ train: 5, dev: 1 });
});

it("--raw-orientation sees pictures as they are stored, and takes no embeddings of turned ones from the cache", async () => {
  const source = await writePictures(at("turned"), CAPTIONS, ["white.png"]);
  const json = onPictures({ data: { source } });
  const upright = await train(json);
  for (const name of Object.keys(CAPTIONS)) {
    const path = at("turned/images", name);
    await writeFile(path, await sharp(path).withMetadata({ orientation: 6 }).toBuffer());
  }
  const turned = await train(json);
  const stored = await train(json, "--raw-orientation");
  expect(stored.exitCode, stored.stderr).toBe(0);
  const lines = ({ out }: typeof stored) => runLines(out, "metrics.jsonl");
  expect(await lines(stored)).toEqual(await lines(upright));
  expect(await lines(turned)).not.toEqual(await lines(upright));
});

it("one picture, without any for validation: best is the latest model", async () => {
  const source = await writePictures(at("one"), { "a.png": ["A red ball."] });
  const ran = await train(onPictures({ data: { source }, batch: 1 }));
  expect(ran.exitCode, ran.stderr).toBe(0);
  expect(ran.stdout).toContain("2 steps");
  expect(JSON.parse(await readFile(join(ran.out, "best/clipcap.json"), "utf8")).trained_on).toContain("step 2");
});

it("training ends when the validation loss falls no more, and is not taken up again", async () => {
  // Rate 0: no look is better than the first.
  const json = onPictures({ steps: 50, schedule: { lr: 0 }, evaluate: { every: 2, patience: 2 } });
  const ran = await train(json, "--json");
  expect(ran.exitCode, ran.stderr).toBe(0);
  const end = { kind: "end", step: 6, best: { step: 2 }, early: "no progress" };
  expect(JSON.parse(ran.lines.at(-1)!)).toMatchObject(end);
  const again = await clipcap(["train", "--out", ran.out, "--resume", "--json"], { env });
  expect(again.lines).toHaveLength(1);
  expect(JSON.parse(again.lines[0]!)).toMatchObject(end);
});

it("--compat trains on what the original's parse_coco.py wrote", async () => {
  const source = goldenPath("train_data.pkl");
  const ran = await train(tinyFrozen({ data: { source }, batch: 2, steps: 2 }, 48), "--compat", "--json");
  expect(ran.exitCode, ran.stderr).toBe(0);
  const config = JSON.parse(await readFile(join(ran.out, "config.json"), "utf8"));
  expect(config).toMatchObject({
    optimizer: { type: "hf2021" },
    schedule: { type: "linear", lr: 2e-5, warmup_steps: 5000 },
    data: { normalise: false, raw_orientation: true, ignored_id: 0, f16_embeddings: true },
  });
  // There are embeddings only, and no pictures that could be shown.
  const samples = await runLines(ran.out, "samples.jsonl");
  expect(samples.length).toBeGreaterThan(0);
  for (const sample of samples) expect(sample).not.toHaveProperty("picture");
  expect(await readdir(ran.out)).not.toContain("samples");
  const rates = (await runLines(ran.out, "metrics.jsonl")).filter(({ kind }) => kind === "train").map(({ lr }) => lr);
  expect(rates).toEqual([0, 2e-5 / 5000]);
});

it("--dry-run says what a run would take, for people and as JSON, and leaves nothing", async () => {
  const config = await writeJson(at("dry.json"), tinyConfig());
  const args = ["train", "--config", config, "--out", at("dry"), "--dry-run"];
  const [table, json] = await Promise.all([clipcap(args), clipcap([...args, "--json"])]);
  expect(table.exitCode, table.stderr).toBe(0);
  for (const row of ["gpt2, trained", "the optimizer's moments", "device memory, at most", "arithmetic of a step"]) {
    expect(table.stdout).toContain(row);
  }
  const plan = JSON.parse(json.stdout);
  expect(plan).toMatchObject({ steps: 12, stepsPerEpoch: 10, examples: { train: 40, dev: 4 }, cut: 0 });
  expect(plan.peakBytes).toBeGreaterThan(plan.bytes.parameters);
  expect(plan.stepFlops).toBeGreaterThan(1e6);
  expect(await readdir(folder)).not.toContain("dry");
});

it("the shipped CLIP and GPT-2, frozen, with the transformer mapper and nothing but flags", async () => {
  const out = newRun();
  const flags = ["--mapper", "transformer", "--layers", "1", "--batch", "4", "--steps", "2"];
  const ran = await clipcap(["train", "--data", pictures, "--out", out, ...flags, "--json"], { env });
  expect(ran.exitCode, ran.stderr).toBe(0);
  expect(ran.lines.map((line) => JSON.parse(line).kind)).toEqual(["train", "train", "dev", "end"]);
  const captioned = await clipcap(["caption", at("six/images/red.png"), "--model", join(out, "best"), "--json"]);
  expect(captioned.exitCode, captioned.stderr).toBe(0);
  expect(JSON.parse(captioned.lines[0]!).caption).toEqual(expect.any(String));
});

describe("ending early", () => {
  /** Ctrl-C ends within a second; a busy machine may need more. */
  const SOON_MS = 2500;

  it("Ctrl-C while pictures are embedded: exit code 130, soon, and no folder is left", async () => {
    const many = await writePictures(at("many"), { "0.png": ["A red ball."] });
    const rows = ['{"file":"0.png","captions":["A red ball."],"split":"train"}'];
    for (let i = 1; i < 3000; i++) {
      await link(at("many/images/0.png"), at(`many/images/${i}.png`));
      rows.push(`{"file":"${i}.png","captions":["A red ball."],"split":"train"}`);
    }
    await writeFile(many, rows.join("\n"));
    const out = newRun();
    let asked = 0;
    const ran = await clipcap(["train", "--data", many, "--out", out], {
      env,
      disturb: (child) =>
        child.stderr.on("data", (text: string) => {
          if (!text.includes("embedding") || asked > 0) return;
          asked = performance.now();
          child.kill("SIGINT");
        }),
    });
    expect(performance.now() - asked).toBeLessThan(SOON_MS);
    expect(ran.exitCode, ran.stderr).toBe(130);
    expect(await readdir(folder)).not.toContain(`run${runs}`);
  });

  it("a full disk behind standard output: the run is saved, and says so", async () => {
    const out = newRun();
    const config = await writeJson(`${out}.json`, tinyConfig());
    const fault = { preload: join(ROOT, "test/e2e/faults.ts"), env: { ...env, CLIPCAP_FAULT: "full-output" } };
    const ran = await clipcap(["train", "--config", config, "--out", out, "--json"], fault);
    expect(ran.stderr).toContain("standard output cannot be written (ENOSPC)");
    expect(ran.exitCode).toBe(1);
    expect(await readdir(join(out, "checkpoints"))).toHaveLength(1);
    expect(await readdir(out)).not.toContain("lock");
  });
});
