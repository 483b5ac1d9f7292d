import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll } from "vitest";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface Ran {
  readonly exitCode: number | null;
  readonly stdout: string;
  /** Without the lines that the graphics driver and Dawn write there. */
  readonly stderr: string;
  /** Lines of stdout. */
  readonly lines: string[];
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A module that the child loads first. */
  readonly preload?: string;
  /** Called with the running child, to disturb it. */
  readonly disturb?: (child: ChildProcessWithoutNullStreams) => void;
}

/** Runs the command line from its sources in a process of its own. */
export function clipcap(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return runProgram("src/cli/main.ts", args, options);
}

/** Runs a program of the repository in a process of its own. */
export function runProgram(file: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const preload = options.preload ? ["--import", options.preload] : [];
  const child = spawn(process.execPath, ["--import", "tsx", ...preload, file, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...options.env },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => {}); // a child that reads nothing
  child.stdin.end(options.input ?? "");
  options.disturb?.(child);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode) => {
      const lines = stdout.split("\n").filter((line) => line !== "");
      resolve({ exitCode, stdout, stderr: ownLines(stderr), lines });
    });
  });
}

function ownLines(stderr: string): string {
  const foreign = /^(Warning: | {4}at CheckVkSuccess|MESA|libEGL|$)/;
  return stderr
    .split("\n")
    .filter((line) => !foreign.test(line))
    .join("\n");
}

/** A folder for a test file, removed at its end. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "clipcap-e2e-"));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a picture: bands of sky and ground whose colours depend on `shade` (0 to 255). The format is the name's. */
export async function picture(path: string, shade = 0): Promise<string> {
  const [width, height] = [96, 64];
  const data = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const colour = y < height / 2 ? [shade, 150, 230] : [60, 140, (shade + x) % 256];
      data.set(colour, (y * width + x) * 3);
    }
  }
  await mkdir(dirname(path), { recursive: true });
  await sharp(data, { raw: { width, height, channels: 3 } }).toFile(path);
  return path;
}
