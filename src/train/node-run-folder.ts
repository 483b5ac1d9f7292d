import { type FileHandle, mkdir, open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import type { JsonObject } from "../weights/json-fields.js";
import { fileError, writeAtomically } from "../weights/node-source.js";

/**
 * The folder of a training run (docs/training.md): config.json, metrics.jsonl, samples.jsonl, checkpoints, the best model
 * and report.html. Only one process trains in it at a time.
 */
export class RunFolder {
  private constructor(
    readonly path: string,
    private readonly lock: string,
  ) {}

  /**
   * Creates the folder if need be and takes it for this process.
   * @throws ClipCapError `bad-usage` when another process trains in it, naming it; `io`.
   */
  static async take(path: string): Promise<RunFolder> {
    const lock = join(path, "lock");
    await mkdir(path, { recursive: true }).catch((cause) => {
      throw fileError(path, cause);
    });
    for (;;) {
      try {
        const handle = await open(lock, "wx");
        await handle.writeFile(`${JSON.stringify({ pid: process.pid, host: hostname() })}\n`);
        await handle.close();
        return new RunFolder(path, lock);
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw fileError(path, cause);
        await refuseWhereAlive(path, lock);
        await rm(lock, { force: true }); // its process was killed
      }
    }
  }

  file(...parts: readonly string[]): string {
    return join(this.path, ...parts);
  }

  async writeJson(name: string, value: unknown): Promise<void> {
    const text = `${JSON.stringify(value, null, 1)}\n`;
    await writeAtomically(this.file(name), (sink) => sink.write(new TextEncoder().encode(text)));
  }

  release(): Promise<void> {
    return rm(this.lock, { force: true });
  }
}

async function refuseWhereAlive(path: string, lock: string): Promise<void> {
  const { pid, host } = await readLock(lock);
  const here = host === hostname();
  if (here && (pid === process.pid || !isAlive(pid))) return;
  const who = pid === undefined ? "another process" : `process ${pid}${here ? "" : ` on ${host}`}`;
  const advice = here ? "wait for it or stop it" : `if it is not running any more, remove ${lock}`;
  throw new ClipCapError("bad-usage", `${path} is in use: ${who} trains in it; ${advice}, or name another folder`);
}

async function readLock(lock: string): Promise<{ pid?: number; host?: string }> {
  try {
    const { pid, host } = JSON.parse(await readFile(lock, "utf8"));
    return { pid: Number.isSafeInteger(pid) ? pid : undefined, host: typeof host === "string" ? host : undefined };
  } catch {
    return { host: hostname() }; // half-written by a process that was killed: no process is named, none can be alive
  }
}

function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
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

  /** Opens the file and drops the lines after `step`, which a resumed run writes again, and a line cut short. */
  static async open(path: string, step: number): Promise<StepLines> {
    const before = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return "";
      throw fileError(path, cause);
    });
    const kept = before.split("\n").filter((line) => stepOf(line) <= step);
    const text = kept.map((line) => `${line}\n`).join("");
    if (text !== before) await writeAtomically(path, (sink) => sink.write(new TextEncoder().encode(text)));
    return new StepLines(path, await open(path, "a"));
  }

  async append(line: JsonObject & { readonly step: number }): Promise<void> {
    await this.handle.appendFile(`${JSON.stringify(line)}\n`).catch((cause) => {
      throw fileError(this.path, cause);
    });
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

function stepOf(line: string): number {
  try {
    const { step } = JSON.parse(line);
    return typeof step === "number" ? step : Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
