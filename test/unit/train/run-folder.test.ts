import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mendExport } from "../../../src/train/node-export.js";
import { RunFolder, StepLines } from "../../../src/train/node-run-folder.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clipcap-run-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A run's folder with the lock that somebody left there. */
async function locked(name: string, lock: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  await writeFile(join(path, "lock"), lock);
  return path;
}

/** A process that has ended. */
const GONE = spawnSync(process.execPath, ["--version"]).pid;

describe("RunFolder", () => {
  it("is taken by one, given back, and gone where nothing came of it", async () => {
    const path = join(folder, "new/run");
    const run = await RunFolder.take(path);
    const lock = JSON.parse(await readFile(join(path, "lock"), "utf8"));
    expect(lock).toMatchObject({ pid: process.pid, host: hostname() });
    expect(lock.start).toMatch(/^[0-9a-f-]{36} \d+$/);
    run.release();
    expect(existsSync(path)).toBe(false);
  });

  it("keeps what is in it, and an empty folder that was there before", async () => {
    const path = join(folder, "there");
    await mkdir(path);
    (await RunFolder.take(path)).release();
    expect(existsSync(path)).toBe(true);
    const run = await RunFolder.take(path);
    await run.writeJson("config.json", { a: 1 });
    run.release();
    expect(await readdir(path)).toEqual(["config.json"]);
  });

  it("goes over from a process that was killed, and can remove what that left half-written, and no other run did", async () => {
    const path = await locked("killed", JSON.stringify({ pid: GONE, host: hostname() }));
    for (const name of ["samples", "checkpoints/step-2", "other"]) await mkdir(join(path, name), { recursive: true });
    const ending = "4711-0badcafe.tmp";
    for (const name of ["config.json", "samples/0.png", "checkpoints/step-2/state.json", "other/config.json"])
      await writeFile(join(path, `${name}.${ending}`), "{");
    const before = (await readdir(path, { recursive: true })).sort();
    const run = await RunFolder.take(path);
    expect((await readdir(path, { recursive: true })).sort()).toEqual(before);
    await run.clean();
    expect((await readdir(path, { recursive: true })).sort()).toEqual([
      "checkpoints",
      "checkpoints/step-2",
      "lock",
      "other",
      `other/config.json.${ending}`,
      "samples",
    ]);
    expect(JSON.parse(await readFile(join(path, "lock"), "utf8")).pid).toBe(process.pid);
    run.release();
  });

  it("is refused where a process lives, and on another machine, with what to do", async () => {
    const busy = await locked("busy", JSON.stringify({ pid: process.ppid, host: hostname() }));
    await expect(RunFolder.take(busy)).rejects.toThrow(
      `${busy} is in use: process ${process.ppid} trains in it; wait for it or stop it, name another folder, or ` +
        `remove ${join(busy, "lock")} if that is no training any more`,
    );
    const far = await locked("far", JSON.stringify({ pid: 12, host: "elsewhere" }));
    await expect(RunFolder.take(far)).rejects.toThrow(
      `process 12 on elsewhere trains in it; name another folder, or remove ${join(far, "lock")} if that is no training`,
    );
    expect(await readdir(far)).toEqual(["lock"]);
  });

  it("goes over from a process whose number another one has now, and from none whose start is the same", async () => {
    const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { argv0: "a ) b 1" });
    try {
      const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
      const ticks = (await readFile(`/proc/${other.pid}/stat`, "utf8")).split(") ").at(-1)!.split(" ")[19];
      const lock = (start: string) => JSON.stringify({ pid: other.pid, host: hostname(), start });
      const same = await locked("same", lock(`${boot} ${ticks}`));
      await expect(RunFolder.take(same)).rejects.toThrow(`process ${other.pid} trains in it`);
      for (const [name, start] of [
        ["reused", `${boot} 1`],
        ["rebooted", `${boot.replace(/^./, "x")} ${ticks}`],
      ] as const) {
        const path = await locked(name, lock(start));
        const run = await RunFolder.take(path);
        expect(JSON.parse(await readFile(join(path, "lock"), "utf8")).pid).toBe(process.pid);
        run.release();
      }
    } finally {
      other.kill();
    }
  });

  it("is taken where the lock names no process, and not where the name is a file's", async () => {
    for (const pid of [0, -1]) {
      const path = await locked(`pid${pid}`, JSON.stringify({ pid, host: hostname() }));
      await utimes(join(path, "lock"), 1, 1);
      (await RunFolder.take(path)).release();
    }
    const file = join(folder, "file");
    await writeFile(file, "");
    await expect(RunFolder.take(file)).rejects.toThrow(`${file} is a file; name a folder for the run`);
  });

  it("a lock without a process is one that is being written, unless it is old", async () => {
    const path = await locked("written", "");
    await expect(RunFolder.take(path)).rejects.toThrow("another process trains in it");
    await utimes(join(path, "lock"), 1, 1);
    (await RunFolder.take(path)).release();
  });
});

it("StepLines drops the lines after a step, and one cut short", async () => {
  const path = join(folder, "metrics.jsonl");
  expect(await StepLines.lastStep(path)).toBe(0);
  const line = (step: number) => `{"step":${step}}`;
  await writeFile(path, `${line(1)}\n${line(2)}\n${line(3)}\n{"step":4,"lo`);
  expect(await StepLines.lastStep(path)).toBe(3);
  const lines = await StepLines.open(path, 2);
  await lines.append({ step: 3, again: true });
  await lines.close();
  expect(await readFile(path, "utf8")).toBe(`${line(1)}\n${line(2)}\n{"step":3,"again":true}\n`);
});

it("a model folder whose export was killed is mended, whenever that was", async () => {
  const make = async (name: string, ...folders: string[]) => {
    const path = join(folder, name);
    for (const ending of folders) {
      await mkdir(`${path}${ending}`, { recursive: true });
      await writeFile(join(`${path}${ending}`, "is"), ending);
    }
    await mendExport(path);
    const left = (await readdir(folder)).filter((entry) => entry.startsWith(name));
    return [left, existsSync(path) ? await readFile(join(path, "is"), "utf8") : undefined];
  };
  expect(await make("writing", "", ".tmp")).toEqual([["writing"], ""]);
  expect(await make("between", ".old", ".tmp")).toEqual([["between"], ".old"]);
  expect(await make("after", "", ".old")).toEqual([["after"], ""]);
  expect(await make("first", ".tmp")).toEqual([[], undefined]);
});
