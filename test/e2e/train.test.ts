import { appendFile, cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { decodeImage } from "../../src/data/image/decode-node.js";
import { canonicalNames } from "../../src/weights/names.js";
import { openSafetensors } from "../../src/weights/safetensors.js";
import { memorySource } from "../../src/weights/source.js";
import { clipcap, picture, ROOT, type RunOptions, temporaryFolder } from "./cli.js";
import { runLines, tinyConfig, tinyFrozen, writeJson } from "./tiny-run.js";

const folder = await temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const FAULTS = join(ROOT, "test/e2e/faults.ts");
const config = at("tiny.json");
const whole = at("whole");

/** Where nothing is in Mesa's cache yet, the first run compiles every kernel. */
const COLD_MS = 300_000;

beforeAll(async () => {
  await writeJson(config, tinyConfig());
  const ran = await clipcap(["train", "--config", config, "--out", whole, "--json"]);
  expect(ran.exitCode, ran.stderr).toBe(0);
}, COLD_MS);

const checkpointOf = (run: string, step: number) =>
  readFile(join(run, "checkpoints", `step-${step}`, "training.safetensors"));

/** Tensors by name, as text. */
async function valuesOf(path: string): Promise<Map<string, string>> {
  const file = await canonicalNames(await openSafetensors(memorySource(path, await readFile(path))));
  const values = new Map<string, string>();
  for (const name of [...file.tensors.keys()].sort()) {
    values.set(name, Buffer.from(await file.readBytes(name)).toString("base64"));
  }
  return values;
}

/** Names of everything below a folder. */
async function filesOf(run: string): Promise<string[]> {
  const entries = await readdir(run, { recursive: true, withFileTypes: true });
  return entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name).slice(run.length + 1));
}

describe("a run from nothing", () => {
  it("leaves all that docs/training.md lists and nothing else", async () => {
    expect((await filesOf(whole)).sort()).toEqual([
      "best/clip/config.json",
      "best/clip/model.safetensors",
      "best/clip/preprocessor_config.json",
      "best/clip/tokenizer.json",
      "best/clip/tokenizer_config.json",
      "best/clipcap.json",
      "best/gpt2/config.json",
      "best/gpt2/model.safetensors",
      "best/gpt2/tokenizer.json",
      "best/gpt2/tokenizer_config.json",
      "best/mapper.safetensors",
      "checkpoints/step-12/state.json",
      "checkpoints/step-12/training.safetensors",
      "config.json",
      "metrics.jsonl",
      "report.html",
      "samples.jsonl",
      "samples/0.png",
      "samples/1.png",
    ]);
    const lines = await runLines(whole, "metrics.jsonl");
    const steps = (kind: string) => lines.filter((line) => line.kind === kind).map(({ step }) => step);
    expect(steps("train")).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect(steps("dev")).toEqual([4, 8, 12]);
    const losses = lines.filter(({ kind }) => kind === "dev").map(({ loss }) => loss as number);
    expect(losses[2]).toBeLessThan(losses[0]!);
    const metrics = await readFile(join(whole, "metrics.jsonl"), "utf8");
    const memory = [...metrics.matchAll(/"device_bytes":(\d+)/g)].map(([, bytes]) => Number(bytes));
    expect(memory[0]).toBeGreaterThan(100_000);
    expect(memory).toEqual([memory[0], memory[0], memory[0]]);
    const samples = await runLines(whole, "samples.jsonl");
    const files = ["samples/0.png", "samples/1.png"];
    expect(samples.map((line) => line.picture)).toEqual([...files, ...files, ...files]);
    const report = await readFile(join(whole, "report.html"), "utf8");
    for (const file of files) {
      const png = await readFile(join(whole, file));
      expect(await decodeImage(png)).toMatchObject({ width: 32, height: 32 });
      expect(report).toContain(png.toString("base64"));
    }
  });

  it("its best model captions a picture, and becomes a checkpoint of the original and a model again", async () => {
    const image = await picture(at("a.png"));
    const pt = at("best.pt");
    const [captioned, converted] = await Promise.all([
      clipcap(["caption", image, "--model", join(whole, "best"), "--json"]),
      clipcap(["convert", join(whole, "best"), pt]),
    ]);
    expect(captioned.exitCode, captioned.stderr).toBe(0);
    expect(JSON.parse(captioned.lines[0]!)).toMatchObject({ file: image, caption: expect.any(String) });
    expect(converted.exitCode, converted.stderr).toBe(0);
    const networks = ["--clip", join(whole, "best/clip"), "--gpt2", join(whole, "best/gpt2")];
    const back = await clipcap(["convert", pt, at("again"), ...networks]);
    expect(back.exitCode, back.stderr).toBe(0);
    for (const file of ["mapper.safetensors", "gpt2/model.safetensors"]) {
      expect(await valuesOf(at("again", file)), file).toEqual(await valuesOf(join(whole, "best", file)));
    }
  });
});

describe("--resume", () => {
  const run = at("broken");
  const start = ["train", "--config", config, "--out", run, "--json"];
  const resume = ["train", "--out", run, "--resume", "--json"];
  const fault = (env: Record<string, string>): RunOptions => ({ preload: FAULTS, env });
  const atStep = (step: number, signal: NodeJS.Signals): RunOptions => ({
    disturb: (child) =>
      child.stdout.on("data", (text: string) => text.includes(`"kind":"train","step":${step},`) && child.kill(signal)),
  });

  it("goes on to the same bits, whatever ended the run", async () => {
    // With a step under way, before any checkpoint.
    const inStep = fault({ CLIPCAP_KILL: "write .*metrics.jsonl", CLIPCAP_KILL_NTH: "2" });
    expect((await clipcap(start, inStep)).exitCode).toBeNull();
    expect(await readdir(join(run, "checkpoints"))).toEqual([]);

    // Ctrl-C: the step under way is finished and saved.
    const stopped = await clipcap(resume, atStep(2, "SIGINT"));
    expect(stopped.exitCode, stopped.stderr).toBe(130);
    expect(JSON.parse(stopped.lines.at(-1)!)).toMatchObject({ kind: "end", early: "stopped" });
    const [saved] = await readdir(join(run, "checkpoints"));
    expect(saved).toBe(`step-${JSON.parse(stopped.lines.at(-1)!).step}`);

    // In the middle of a checkpoint.
    const inCheckpoint = fault({ CLIPCAP_KILL: "write .*step-6.tmp/training", CLIPCAP_KILL_NTH: "5" });
    expect((await clipcap(resume, inCheckpoint)).exitCode).toBeNull();
    expect((await readdir(join(run, "checkpoints"))).sort()).toEqual(["step-4", "step-6.tmp"]);

    // The disk is full: the checkpoint before is there, nothing half-written is.
    const full = await clipcap(resume, fault({ CLIPCAP_FAULT: "full-disk" }));
    expect(full.exitCode).toBe(1);
    expect(full.stderr).toContain("step-6.tmp/training.safetensors: the disk is full; free some space");
    expect(await readdir(join(run, "checkpoints"))).toEqual(["step-4"]);

    // Between the two renames that put a better model in place.
    const between = fault({ CLIPCAP_KILL: "rename .*best.tmp " });
    expect((await clipcap(resume, between)).exitCode).toBeNull();
    expect(await readdir(run)).toEqual(expect.arrayContaining(["best.old", "best.tmp"]));
    await writeFile(join(run, "config.json.1-0badcafe.tmp"), "{");

    const done = await clipcap(resume);
    expect(done.exitCode, done.stderr).toBe(0);
    expect((await checkpointOf(run, 12)).equals(await checkpointOf(whole, 12))).toBe(true);
    expect((await filesOf(run)).sort()).toEqual((await filesOf(whole)).sort());
    for (const file of ["metrics.jsonl", "samples.jsonl"]) {
      expect(await runLines(run, file), file).toEqual(await runLines(whole, file));
    }
    const models = ["mapper.safetensors", "gpt2/model.safetensors", "clip/model.safetensors"];
    for (const file of [...models.map((name) => `best/${name}`), "samples/0.png", "samples/1.png"]) {
      const [a, b] = await Promise.all([whole, run].map((path) => readFile(join(path, file))));
      expect(a!.equals(b!), file).toBe(true);
    }
  });

  it("Ctrl-C ends a look at the validation pictures; resumed, the run looks again and writes the same files", async () => {
    const slow = { steps: 6, checkpoint_every: 0, evaluate: { every: 3, samples: 2, images: 400 } };
    const data = { source: "scenes", scenes: { train: 40, dev: 400, size: 32 } };
    await writeJson(at("looks.json"), tinyConfig({ ...slow, data }));
    const [through, looks] = [at("through"), at("looks")];
    expect((await clipcap(["train", "--config", at("looks.json"), "--out", through])).exitCode).toBe(0);
    const again = ["train", "--out", looks, "--resume", "--json"];
    for (const [args, step] of [
      [["train", "--config", at("looks.json"), "--out", looks, "--json"], 3],
      [again, 6],
    ] as const) {
      const stopped = await clipcap(args, atStep(step, "SIGINT"));
      expect(stopped.exitCode, stopped.stderr).toBe(130);
      expect(JSON.parse(stopped.lines.at(-1)!)).toMatchObject({ kind: "end", step, early: "stopped" });
      expect(stopped.lines.some((line) => line.includes(`"kind":"dev","step":${step},`))).toBe(false);
    }
    // What a process that is killed in the look it repeats may leave behind.
    await appendFile(join(looks, "metrics.jsonl"), '{"kind":"dev","step":6}\n');
    expect((await clipcap(again)).exitCode).toBe(0);
    for (const file of ["metrics.jsonl", "samples.jsonl"]) {
      expect(await runLines(looks, file), file).toEqual(await runLines(through, file));
    }
    const states = [through, looks].map((path) => readFile(join(path, "checkpoints/step-6/state.json"), "utf8"));
    expect(await states[1]).toBe(await states[0]);
    expect((await checkpointOf(looks, 6)).equals(await checkpointOf(through, 6))).toBe(true);
  });

  it("refuses frozen networks that have changed since", async () => {
    const frozen = at("frozen");
    await cp(join(whole, "best"), at("networks"), { recursive: true });
    const networks = { clip: at("networks", "clip"), gpt2: at("networks", "gpt2") };
    await writeJson(at("frozen.json"), tinyFrozen({ networks, steps: 2 }));
    const first = await clipcap(["train", "--config", at("frozen.json"), "--out", frozen]);
    expect(first.exitCode, first.stderr).toBe(0);
    for (const [file, name] of [
      ["clip/model.safetensors", "CLIP"],
      ["gpt2/model.safetensors", "GPT-2"],
      ["gpt2/tokenizer.json", "GPT-2"],
    ] as const) {
      const before = await readFile(at("networks", file));
      const changed = Buffer.from(before);
      changed[before.length - 2]! ^= 1; // of the last number
      await writeFile(at("networks", file), file.endsWith(".json") ? `${before} ` : changed);
      const ran = await clipcap(["train", "--out", frozen, "--resume"]);
      await writeFile(at("networks", file), before);
      expect(ran.stderr, file).toContain(`step-2 was trained with another ${name}: the files that config.json names`);
      expect(ran.exitCode).toBe(1);
    }
    expect((await clipcap(["train", "--out", frozen, "--resume"])).exitCode).toBe(0);
  });

  it("refuses a checkpoint of other settings, architecture or data, and leaves everything as it is", async () => {
    const file = join(run, "config.json");
    const before = JSON.parse(await readFile(file, "utf8"));
    const stateFile = join(run, "checkpoints/step-12/state.json");
    const state = JSON.parse(await readFile(stateFile, "utf8"));
    const scenes = { train: 41, dev: 4, size: 32 };
    const wider = { ...before, mapper: { prefix_length: 3 } };
    const others = { ...before, data: { ...before.data, scenes } };
    for (const [json, settings, message] of [
      [
        { ...before, seed: 1, batch: 8 },
        {},
        "step-12 was trained with other settings: seed 0, now 1; batch 4, now 8; put config.json back, or start a new run",
      ],
      [wider, {}, "step-12 was trained with other settings: mapper.prefix_length 2, now 3"],
      [
        wider,
        { "mapper.prefix_length": 3, "mapper.clip_length": 3 },
        "step-12 belongs to another architecture: clip_project.model.0.weight is [32,32] there and [48,32] here",
      ],
      [
        others,
        { "data.scenes": scenes },
        "step-12 was trained on other data; resume with the pictures and captions of its config.json",
      ],
    ] as const) {
      await writeJson(file, json);
      await writeJson(stateFile, { ...state, settings: { ...state.settings, ...settings } });
      const ran = await clipcap(resume);
      expect(ran.stderr).toContain(message);
      expect(ran.exitCode).toBe(1);
      expect(await readdir(join(run, "checkpoints"))).toEqual(["step-12"]);
    }
    await writeJson(stateFile, state);
  });

  it("goes on with settings that may be changed, and says which", async () => {
    const file = join(run, "config.json");
    const before = JSON.parse(await readFile(file, "utf8"));
    await writeJson(file, { ...tinyConfig(), steps: 14, schedule: { ...before.schedule, lr: 0.0005 } });
    const ran = await clipcap(resume);
    expect(ran.exitCode, ran.stderr).toBe(0);
    expect(ran.stderr).toContain(
      "config.json was changed since the checkpoint, and counts from here on: steps 12, now 14; schedule.lr 0.001, now 0.0005",
    );
    expect(JSON.parse(ran.lines.at(-1)!)).toMatchObject({ kind: "end", step: 14 });
    const again = await clipcap(resume); // the checkpoint has them now
    expect(again.stderr).not.toContain("config.json was changed");
    await rm(run, { recursive: true });
  });
});

describe("one process at a time", () => {
  it("a second one is refused and told by whom; SIGTERM saves; Ctrl-C twice ends at once", async () => {
    const run = at("busy");
    await writeJson(at("long.json"), tinyConfig({ steps: 100_000, evaluate: { every: 50_000 }, checkpoint_every: 0 }));
    let second: ReturnType<typeof clipcap> | undefined;
    let pid: number | undefined;
    const first = await clipcap(["train", "--config", at("long.json"), "--out", run, "--json"], {
      disturb: (child) => {
        pid = child.pid;
        child.stdout.once("data", async () => {
          second = clipcap(["train", "--config", config, "--out", run]);
          await second;
          child.kill("SIGTERM");
        });
      },
    });
    const refused = await second!;
    expect(refused.stderr).toContain(`${run} is in use: process ${pid} trains in it; wait for it or stop it`);
    expect(refused.exitCode).toBe(2);
    expect(first.exitCode, first.stderr).toBe(143);
    const { step } = JSON.parse(first.lines.at(-1)!);
    expect(await readdir(join(run, "checkpoints"))).toEqual([`step-${step}`]);

    const twice = await clipcap(["train", "--out", run, "--resume", "--json"], {
      disturb: (child) =>
        child.stdout.once("data", () => {
          child.kill("SIGINT");
          setTimeout(() => child.kill("SIGINT"), 1);
        }),
    });
    expect(twice.exitCode).toBe(130);
    expect(await readdir(run)).not.toContain("lock");
  });
});
