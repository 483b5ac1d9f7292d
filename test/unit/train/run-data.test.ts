import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { ProblemLog } from "../../../src/data/captions/problems.js";
import type { TrainingData } from "../../../src/train/node-data.js";
import { noteData, noteProblem, readLeftOut } from "../../../src/train/node-run-data.js";
import { RunFolder } from "../../../src/train/node-run-folder.js";

const folder = await mkdtemp(join(tmpdir(), "clipcap-run-data-"));
afterAll(() => rm(folder, { recursive: true }));

const dataWith = (problems: ProblemLog, leftOut: readonly string[]): TrainingData => ({
  ...{ train: [], dev: [], digest: "", problems, leftOut },
});

it("all problems with file, line and reason, then how many more there are, then those of later", async () => {
  const run = await RunFolder.take(join(folder, "run"));
  const problems = new ProblemLog("a.csv");
  for (let line = 1; line <= 10_003; line++) problems.add("row", line, "it has no caption");
  await noteData(run, dataWith(problems, ["b.png", "c.png"]));
  noteProblem(run, new ProblemLog("x.tar").add("picture", 'sample "k"', "it is no picture"));
  run.release();
  const lines = (await readFile(run.file("problems.jsonl"), "utf8")).trimEnd().split("\n");
  expect(lines).toHaveLength(10_002);
  expect([lines[9999], lines[10_000], lines[10_001]].map((line) => JSON.parse(line!))).toEqual([
    { kind: "row", file: "a.csv", line: 10_000, reason: "it has no caption" },
    { more: 3 },
    { kind: "picture", file: "x.tar", place: 'sample "k"', reason: "it is no picture" },
  ]);
  expect([...(await readLeftOut(run.path))]).toEqual(["b.png", "c.png"]);
});

it("of a run without either, nothing is left of an earlier one; a damaged list is refused", async () => {
  const run = await RunFolder.take(join(folder, "clean"));
  await writeFile(run.file("problems.jsonl"), "{}\n");
  await writeFile(run.file("left-out.json"), '["a.png"');
  await expect(readLeftOut(run.path)).rejects.toThrow("left-out.json is no list of pictures any more; start a new run");
  await noteData(run, dataWith(new ProblemLog("a.csv"), []));
  run.release();
  expect((await readLeftOut(run.path)).size).toBe(0);
  await expect(readFile(run.file("problems.jsonl"))).rejects.toThrow("ENOENT");
});
