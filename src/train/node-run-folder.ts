import { existsSync, readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import type { JsonObject } from "../weights/json-fields.js";
import { fileError, writeAtomically } from "../weights/node-source.js";

/** How long an unreadable lock is taken for one that a living process is about to write. */
const UNREADABLE_MS = 5000;
/** What `writeAtomically` left when its process was killed. */
const LEFTOVER = /\.\d+-[0-9a-f]{8}\.tmp$/;
/** Where a run writes; beside these there may be other runs, which live. */
const OWN_FOLDERS = ["best", "checkpoints", "samples"];

/**
 * The folder of a training run (docs/training.md): config.json, metrics.jsonl, samples.jsonl, checkpoints, the best model
 * and report.html. Only one process trains in it at a time.
 */
export class RunFolder {
  private constructor(
    readonly path: string,
    private readonly lock: string,
    private readonly isNew: boolean,
  ) {
    process.once("exit", this.leave);
  }

  /**
   * Creates the folder if need be and takes it for this process.
   * @throws ClipCapError `bad-usage` when another process trains in it, naming it; `io`.
   */
  static async take(path: string): Promise<RunFolder> {
    const lock = join(path, "lock");
    try {
      const isNew = (await mkdir(path, { recursive: true })) !== undefined;
      while (!(await claim(lock))) await clearStale(path, lock);
      return new RunFolder(path, lock, isNew);
    } catch (cause) {
      if (existsSync(path) && !statSync(path).isDirectory())
        throw new ClipCapError("bad-usage", `${path} is a file; name a folder for the run`, { cause });
      throw fileError(path, cause);
    }
  }

  /** Removes what a killed process left half-written. @throws ClipCapError `io` */
  async clean(): Promise<void> {
    for (const folder of ["", ...OWN_FOLDERS.filter((name) => existsSync(this.file(name)))])
      for (const name of await readdir(this.file(folder), { recursive: folder !== "" }))
        if (LEFTOVER.test(name)) await rm(this.file(folder, name), { force: true });
  }

  file(...parts: readonly string[]): string {
    return join(this.path, ...parts);
  }

  async writeJson(name: string, value: unknown): Promise<void> {
    const text = `${JSON.stringify(value, null, 1)}\n`;
    await writeAtomically(this.file(name), (sink) => sink.write(new TextEncoder().encode(text)));
  }

  /** Gives the folder back; one that was made for nothing goes. */
  release(): void {
    process.off("exit", this.leave);
    this.leave();
  }

  private readonly leave = (): void => {
    rmSync(this.lock, { force: true });
    if (this.isNew && existsSync(this.path) && readdirSync(this.path).length === 0) rmdirSync(this.path);
  };
}

/** Makes the lock, or returns false where there is one. */
async function claim(lock: string): Promise<boolean> {
  const handle = await open(lock, "wx").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "EEXIST") throw cause;
  });
  if (!handle) return false;
  try {
    await handle.writeFile(
      `${JSON.stringify({ pid: process.pid, host: hostname(), start: await startOf(process.pid) })}\n`,
    );
    return true;
  } catch (cause) {
    await rm(lock, { force: true }); // the disk is full
    throw cause;
  } finally {
    await handle.close();
  }
}

/**
 * Removes the lock of a process that is gone. It is renamed first and looked at again: of two processes that found it,
 * the later must not remove what the earlier has put in its place.
 * @throws ClipCapError `bad-usage` when its process lives.
 */
async function clearStale(path: string, lock: string): Promise<void> {
  const text = await readIfThere(lock);
  if (text === undefined) return;
  await refuseWhereAlive(path, lock, text);
  const aside = `${lock}.${process.pid}`;
  try {
    await rename(lock, aside);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return;
    throw cause;
  }
  if ((await readFile(aside, "utf8")) === text) await rm(aside);
  else await rename(aside, lock);
}

async function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ENOENT") throw fileError(path, cause);
    return undefined;
  });
}

async function refuseWhereAlive(path: string, lock: string, text: string): Promise<void> {
  const { pid, host, start } = parseLock(text);
  const here = host === undefined || host === hostname();
  if (pid === undefined) {
    const since = await stat(lock).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    );
    if (Date.now() - since > UNREADABLE_MS) return;
  } else if (here && (pid === process.pid || !(await isSame(pid, start)))) return;
  const who = pid === undefined ? "another process" : `process ${pid}${here ? "" : ` on ${host}`}`;
  const advice = here ? "wait for it or stop it, name another folder, or" : "name another folder, or";
  throw new ClipCapError(
    "bad-usage",
    `${path} is in use: ${who} trains in it; ${advice} remove ${lock} if that is no training any more`,
  );
}

function parseLock(text: string): { pid?: number; host?: string; start?: string } {
  try {
    const { pid, host, start } = JSON.parse(text);
    return {
      pid: Number.isSafeInteger(pid) && pid > 0 ? pid : undefined, // others mean groups of processes
      host: typeof host === "string" ? host : undefined,
      start: typeof start === "string" ? start : undefined,
    };
  } catch {
    return {};
  }
}

/** Whether the process that began at `start` lives: after a reboot, say, its number belongs to another program. */
async function isSame(pid: number, start: string | undefined): Promise<boolean> {
  if (!isAlive(pid)) return false;
  const now = start === undefined ? undefined : await startOf(pid);
  return now === undefined || now === start;
}

/** When a process began, in ticks of a boot that is named; undefined where the system does not tell (it does on Linux). */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
    const fields = await readFile(`/proc/${pid}/stat`, "utf8");
    const behindName = fields.slice(fields.lastIndexOf(")") + 2).split(" "); // from field 3; a name may have spaces
    return `${boot.trim()} ${behindName[22 - 3]}`;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // somebody else's process
  }
}

/** A file of JSON lines that grows with the run; each line has its "step". */
export class StepLines {
  private constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
  ) {}

  /**
   * Opens the file and drops the lines after `step`, which a resumed run writes again, and a line cut short.
   * @param lookDue the run goes on with the look that follows that step: of its lines only that of the update stays
   */
  static async open(path: string, step: number, lookDue = false): Promise<StepLines> {
    const before = (await readIfThere(path)) ?? "";
    const kept = before.split("\n").filter((line) => {
      const own = parseLine(line);
      return own.step < step || (own.step === step && !(lookDue && own.kind !== "train"));
    });
    const text = kept.map((line) => `${line}\n`).join("");
    if (text !== before) await writeAtomically(path, (sink) => sink.write(new TextEncoder().encode(text)));
    return new StepLines(path, await open(path, "a"));
  }

  /** The last step that the file has a line of; 0 without any. */
  static async lastStep(path: string): Promise<number> {
    const steps = ((await readIfThere(path)) ?? "").split("\n").map((line) => parseLine(line).step);
    return steps.reduce((last, step) => (Number.isFinite(step) ? Math.max(last, step) : last), 0);
  }

  async append(line: JsonObject & { readonly step: number }): Promise<void> {
    await this.handle.appendFile(`${JSON.stringify(line)}\n`).catch((cause) => {
      throw fileError(this.path, cause);
    });
  }

  /** Waits until all lines are on the disk. */
  async sync(): Promise<void> {
    await this.handle.sync().catch((cause) => {
      throw fileError(this.path, cause);
    });
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

function parseLine(line: string): { readonly step: number; readonly kind?: unknown } {
  try {
    const { step, kind } = JSON.parse(line);
    if (typeof step === "number") return { step, kind };
  } catch {}
  return { step: Number.POSITIVE_INFINITY };
}
