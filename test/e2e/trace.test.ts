import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { TraceEvent } from "../../src/runtime/trace-events.js";
import { expectOrderedTracks, slicesOf, sumOf } from "../trace-checks.js";
import { clipcap, picture, temporaryFolder } from "./cli.js";
import { runLines, tinyConfig, writeJson } from "./tiny-run.js";

const folder = await temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const photos = [at("a.png"), at("b.png")];

beforeAll(async () => {
  for (const [i, photo] of photos.entries()) await picture(photo, 90 * i);
});

async function readTrace(file: string): Promise<TraceEvent[]> {
  const { traceEvents, otherData } = JSON.parse(await readFile(file, "utf8"));
  expect(otherData).toMatchObject({ clock: "gpu", complete: true });
  expectOrderedTracks(traceEvents);
  const programs = slicesOf(traceEvents, "program");
  expect(slicesOf(traceEvents, "dispatch")).toHaveLength(sumOf(programs, "dispatches"));
  expect(sumOf(slicesOf(traceEvents, "dispatch"), "flops")).toBe(sumOf(programs, "flops"));
  return traceEvents;
}

const names = (events: readonly TraceEvent[], category: string) => slicesOf(events, category).map(({ name }) => name);

describe("clipcap caption --trace", () => {
  it("captions as without it, and shows loading, decoding, programs and dispatches", async () => {
    const args = ["caption", ...photos, "--json", "--max-tokens", "4"];
    const [plain, traced] = await Promise.all([
      clipcap(args),
      clipcap([...args, "--trace", at("new", "caption.json")]),
    ]);
    expect(traced.exitCode, traced.stderr).toBe(0);
    expect(traced.stderr).toContain(`wrote ${at("new", "caption.json")}`);
    const rows = (lines: readonly string[]) => lines.map((line) => ({ ...JSON.parse(line), ms: 0 }));
    expect(rows(traced.lines)).toEqual(rows(plain.lines));
    expect(await readdir(at("new"))).toEqual(["caption.json"]);
    const events = await readTrace(at("new", "caption.json"));
    expect(names(events, "phases")).toEqual(["open device", "load flickr8k-small", "caption 2 images"]);
    expect(names(events, "images").sort()).toEqual(photos.map((photo) => `decode ${photo}`));
    expect(names(events, "compile").sort()).toEqual(["generate.results", "generate.start", "generate.step"]);
    expect(names(events, "program")).toEqual(["generate.start", ...Array(3).fill("generate.step")]);
    expect(names(events, "stage").slice(0, 4)).toEqual(["clip", "mapper", "gpt2", "generate"]);
    expect(slicesOf(events, "program").map(({ args }) => args!.step)).toEqual([undefined, 1, 2, 3]);
  });

  it("is told of a bad path before anything is done", async () => {
    await writeFile(at("file"), "");
    const [under, onto] = await Promise.all([
      clipcap(["caption", photos[0]!, "--trace", at("file", "x.json")]),
      clipcap(["caption", photos[0]!, "--trace", folder]),
    ]);
    expect(under).toMatchObject({ exitCode: 1, stdout: "" });
    expect(under.stderr).toBe(
      `clipcap: ${at("file", "x.json")} cannot be written: ${at("file")} is no folder; give another path`,
    );
    expect(onto.stderr).toBe(`clipcap: ${folder} cannot be written: ${folder} is a folder; give a file`);
  });

  it("leaves nothing behind at Ctrl-C", async () => {
    const results = at("stopped");
    await mkdir(results);
    const many = await Promise.all(Array.from({ length: 60 }, (_, i) => picture(at("many", `${i}.png`), i)));
    const ran = await clipcap(["caption", ...many, "--batch", "1", "--trace", join(results, "x.json")], {
      disturb: (child) => child.stdout.once("data", () => child.kill("SIGINT")),
    });
    expect(ran.exitCode).toBe(130);
    expect(await readdir(results)).toEqual([]);
  });
});

describe("clipcap train --trace", () => {
  it("trains to the same bits as without it, and shows steps, validation and checkpoints", async () => {
    const config = await writeJson(at("tiny.json"), tinyConfig({ steps: 2, evaluate: { every: 2 } }));
    const train = (run: string, ...more: string[]) => clipcap(["train", "--config", config, "--out", at(run), ...more]);
    const [plain, traced] = await Promise.all([train("plain"), train("traced", "--trace", at("train.json"))]);
    expect(plain.exitCode, plain.stderr).toBe(0);
    expect(traced.exitCode, traced.stderr).toBe(0);
    const weights = (run: string) => readFile(at(run, "checkpoints", "step-2", "training.safetensors"));
    expect((await weights("traced")).equals(await weights("plain"))).toBe(true);
    expect(await runLines(at("traced"), "metrics.jsonl")).toEqual(await runLines(at("plain"), "metrics.jsonl"));
    const events = await readTrace(at("train.json"));
    const steps = ["submit step 1", "submit step 2", "wait for step 1", "wait for step 2"];
    const phases = ["open device", "look at the pictures", "load and compile", ...steps, "validate", "checkpoint"];
    expect(names(events, "phases")).toEqual(phases);
    expect(names(events, "program").slice(0, 4)).toEqual(["train", "update", "train", "update"]);
    const stages = names(events, "stage");
    for (const stage of ["clip", "mapper", "gpt2", "d gpt2", "d mapper", "d clip", "adamw"])
      expect(stages).toContain(stage);
  });

  it("does not go with --dry-run, which runs nothing", async () => {
    const ran = await clipcap(["train", "--data", "scenes", "--dry-run", "--trace", at("dry.json")]);
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toBe("clipcap: --dry-run runs nothing that --trace could show; leave one of them out");
  });
});
