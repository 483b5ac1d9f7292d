/** Runs that are gone on with although something in their folder is not as they left it. */
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { writeSafetensors } from "../../src/weights/node-safetensors.js";
import { openSafetensors } from "../../src/weights/safetensors.js";
import { memorySource } from "../../src/weights/source.js";
import { clipcap, picture, ROOT, temporaryFolder } from "./cli.js";
import { runLines, tinyConfig, tinyFrozen, writeJson, writePictures } from "./tiny-run.js";

const folder = await temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const good = at("good");
const env = { XDG_CACHE_HOME: at("cache") };

beforeAll(async () => {
  const config = await writeJson(
    at("frozen.json"),
    tinyFrozen({ steps: 6, checkpoint_every: 3, evaluate: { every: 6 } }),
  );
  const ran = await clipcap(["train", "--config", config, "--out", good], { env });
  expect(ran.exitCode, ran.stderr).toBe(0);
}, 300_000);

async function copy(name: string): Promise<string> {
  await cp(good, at(name), { recursive: true });
  return at(name);
}

const resume = (run: string) => clipcap(["train", "--out", run, "--resume", "--json"], { env });

async function editJson(path: string, fields: Readonly<Record<string, unknown>>): Promise<void> {
  await writeJson(path, { ...JSON.parse(await readFile(path, "utf8")), ...fields });
}

const STATE = "checkpoints/step-6/state.json";

it("a checkpoint that says another step than its folder is refused and kept", async () => {
  const run = await copy("another-step");
  await editJson(join(run, STATE), { step: 9e15 });
  const ran = await resume(run);
  expect(ran.stderr).toContain('state.json: "step" must be 6, as in the name of its folder, not 9000000000000000.');
  expect(ran.exitCode).toBe(1);
  expect(await readdir(join(run, "checkpoints"))).toEqual(["step-6"]);
});

it("a run that diverges keeps the checkpoint before, names it, and goes on from it with a smaller rate", async () => {
  const run = await copy("diverged");
  const schedule = (lr: number) => ({ type: "constant", lr, warmup_steps: 0 });
  await editJson(join(run, "config.json"), { steps: 30, schedule: schedule(1e30) });
  const ran = await resume(run);
  expect(ran.stderr).toContain("11 updates in a row had a loss or gradient that is not finite");
  expect(ran.stderr).toContain(
    "lower the learning rate, or set optimizer max_norm, in config.json, and resume from step-6, the last checkpoint before",
  );
  expect(ran.exitCode).toBe(1);
  expect(await readdir(join(run, "checkpoints"))).toEqual(["step-6"]);
  await editJson(join(run, "config.json"), { steps: 8, schedule: schedule(1e-4) });
  const again = await resume(run);
  expect(again.exitCode, again.stderr).toBe(0);
  expect(await readdir(join(run, "checkpoints"))).toEqual(["step-8"]);
  for (const { loss } of await runLines(run, "metrics.jsonl")) expect(loss).toEqual(expect.any(Number));
});

it("a run whose checkpoint is gone is not begun again over what it has", async () => {
  const run = await copy("gone");
  await rm(join(run, "checkpoints"), { recursive: true });
  const before = await readFile(join(run, "metrics.jsonl"));
  const ran = await resume(run);
  expect(ran.stderr).toContain(
    `${run} has no checkpoint, though it came to step 6; put checkpoints/step-N back, or start a new run in another folder`,
  );
  expect(ran.exitCode).toBe(1);
  expect(await readFile(join(run, "metrics.jsonl"))).toEqual(before);

  await writeFile(join(run, "metrics.jsonl"), before.toString().split("\n").slice(0, 2).join("\n")); // ended in step 3
  const again = await resume(run);
  expect(again.stderr).toContain("the run ended before its first checkpoint; it begins again");
  expect(again.exitCode).toBe(0);
});

it.each([
  ["value", Number.NaN, "NaN"],
  ["m", Number.POSITIVE_INFINITY, "Infinity"],
  ["v", -1, "-1"],
])("a checkpoint with %s = %s is refused", async (kind, value, said) => {
  const run = await copy(`${kind}-${said}`);
  const path = join(run, "checkpoints/step-6/training.safetensors");
  const file = await openSafetensors(memorySource(path, await readFile(path)));
  const name = `${kind}:clip_project.model.0.weight`;
  const entries = [...file.tensors].map(([own, { shape }]) => ({
    name: own,
    dtype: "F32" as const,
    shape,
    async *bytes() {
      const values = await file.readF32(own);
      if (own === name) values[7] = value;
      yield new Uint8Array(values.buffer);
    },
  }));
  await writeSafetensors(path, entries);
  const ran = await resume(run);
  expect(ran.stderr).toContain(`step-6 is damaged: ${name} holds ${said}; put it back, or start a new run`);
  expect(ran.exitCode).toBe(1);
});

it("a checkpoint that is not whole is named, with what to do", async () => {
  const run = await copy("not-whole");
  for (const make of [
    () => mkdir(join(run, "checkpoints/step-14")),
    () => writeFile(join(run, "checkpoints/step-14"), ""),
  ]) {
    await make();
    const ran = await resume(run);
    expect(ran.stderr).toContain(
      "step-14 is no whole checkpoint: it has no state.json; remove it to go on from the one before",
    );
    expect(ran.exitCode).toBe(1);
    await rm(join(run, "checkpoints/step-14"), { recursive: true });
  }
});

it("state.json that is nested without end is refused in a sentence", async () => {
  const run = await copy("deep");
  await writeFile(join(run, STATE), `{"settings":{"seed":${"[".repeat(200_000)}${"]".repeat(200_000)}}}`);
  const ran = await resume(run);
  expect(ran.stderr).toContain("state.json is nested more than 100 deep.");
  expect(ran.exitCode).toBe(1);
});

it("data that is not where config.json says is named with the place that was looked at", async () => {
  const run = await copy("moved");
  await editJson(join(run, "config.json"), { data: { source: "pics/c.jsonl" } });
  const ran = await resume(run);
  expect(ran.stderr).toContain(
    `${join(ROOT, "pics/c.jsonl")}, the data of ${join(run, "config.json")}, does not exist; ` +
      "resume in the folder that the run was started in, or change the path there",
  );
  expect(ran.exitCode).toBe(1);
});

it("other pictures of the same names are refused; one that is gone is not another one", async () => {
  const names = ["a.png", "b.png", "c.png", "d.png"];
  const source = await writePictures(at("four"), Object.fromEntries(names.map((name) => [name, ["A red ball."]])));
  const fields = { data: { source, dev: 0 }, steps: 2, evaluate: {}, checkpoint_every: 0 };
  const run = at("pictures");
  const config = await writeJson(at("pictures.json"), tinyConfig(fields));
  expect((await clipcap(["train", "--config", config, "--out", run])).exitCode).toBe(0);
  await editJson(join(run, "config.json"), { steps: 3 });
  await picture(at("four/images/c.png"), 200);
  const ran = await resume(run);
  expect(ran.stderr).toContain(
    "step-2 was trained on other pictures: 1 of 4 that were compared show something else now; put them back, or start a new run",
  );
  expect(ran.exitCode).toBe(1);
  await rm(at("four/images/c.png"));
  const again = await resume(run);
  expect(again.exitCode, again.stderr).toBe(0);
});

it("a refused command changes nothing, and a run cleans up after itself alone", async () => {
  const parent = at("parent");
  const lives = join(parent, "live/checkpoints/step-9.tmp/training.safetensors.4711-0badcafe.tmp");
  await mkdir(join(lives, ".."), { recursive: true });
  await writeFile(lives, "half-written");
  const ran = await resume(parent);
  expect(ran.stderr).toContain(`${parent} has no config.json`);
  expect(ran.exitCode).toBe(2);
  expect(await readFile(lives, "utf8")).toBe("half-written");
  await cp(good, parent, { recursive: true });
  expect((await resume(parent)).exitCode).toBe(0);
  expect(await readFile(lives, "utf8")).toBe("half-written");
});
