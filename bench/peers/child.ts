// The parent's side: a process that serves one library (library.ts, torch_peer.py).
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Case } from "./cases.js";
import type { Answer, Request, Sample } from "./library.js";

/** How a library's process is started. */
export interface Command {
  /** Until the library has told its version. */
  readonly name: string;
  readonly file: "ours.ts" | "ort.ts" | "tfjs.ts" | "jaxjs.ts" | "torch_peer.py";
  readonly args?: readonly string[];
}

export interface Loaded {
  /** The first call, in which drivers compile. */
  readonly firstMs: number;
  readonly values: Float32Array;
}

/** Lines of what a process printed last that are kept, to say why it ended. */
const KEPT_LINES = 20;

/** An answer takes at most this long: drivers compile for a minute, and a busy machine is ten times as slow as a quiet one. */
const MAX_SECONDS = 600;

export class Child {
  private constructor(
    private readonly process: ChildProcess,
    private readonly answers: AsyncIterator<string>,
    private readonly lastLines: readonly string[],
    readonly name: string,
  ) {}

  /** @throws Error with the reason when the library cannot be used here. */
  static async open({ name, file, args = [] }: Command): Promise<Child> {
    const path = fileURLToPath(new URL(file, import.meta.url));
    const [program, first] = file.endsWith(".py") ? ["python3", []] : [process.execPath, ["--import", "tsx"]];
    const child = spawn(program, [...first, path, ...args], { stdio: ["pipe", "pipe", "pipe", "pipe"] });
    const lastLines = keepLastLines(child);
    const started = new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject); // no such program
    });
    child.stdin!.on("error", () => {}); // it ended: the missing answer says so
    await started;
    const lines = createInterface({ input: child.stdio[3] as Readable })[Symbol.asyncIterator]();
    const opening = new Child(child, lines, lastLines, name);
    const answer = await opening.answer("opened");
    return new Child(child, lines, lastLines, answer.name);
  }

  /** Loads the case in place of the last one and calls it a few times. @throws Error with the reason why it cannot. */
  async prepare(c: Case): Promise<Loaded> {
    this.request({ do: "prepare", case: c });
    const { firstMs, values } = await this.answer("prepared");
    const bytes = Buffer.from(values, "base64");
    return { firstMs, values: new Float32Array(Uint8Array.from(bytes).buffer) };
  }

  async sample(ms: number): Promise<Sample> {
    this.request({ do: "sample", ms });
    return this.answer("sample");
  }

  get ended(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  close(): void {
    this.process.stdin!.end();
    this.process.kill();
  }

  private request(r: Request): void {
    this.process.stdin!.write(`${JSON.stringify(r)}\n`);
  }

  private async answer<T extends Answer["type"]>(type: T): Promise<Extract<Answer, { type: T }>> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.process.kill("SIGKILL");
    }, 1000 * MAX_SECONDS);
    const { value, done } = await this.answers.next();
    clearTimeout(timer);
    if (late) throw new Error(`no answer within ${MAX_SECONDS} s`);
    if (done) throw new Error(await this.whyEnded());
    const answer = JSON.parse(value) as Answer;
    if (answer.type === "failed") throw new Error(answer.reason);
    if (answer.type !== type) throw new Error(`answered "${answer.type}" where "${type}" was due`);
    return answer as Extract<Answer, { type: T }>;
  }

  private async whyEnded(): Promise<string> {
    if (!this.ended) await new Promise((resolve) => this.process.once("close", resolve));
    const { exitCode, signalCode } = this.process;
    const said = this.lastLines.findLast((line) => /error|exception/i.test(line)) ?? this.lastLines.at(-1);
    return `its process ended (${signalCode ?? `exit code ${exitCode}`})${said ? `: ${said.trim().slice(0, 200)}` : ""}`;
  }
}

/** Libraries print on both streams what nobody asked for; the end of it explains a crash. */
function keepLastLines(child: ChildProcess): readonly string[] {
  const kept: string[] = [];
  for (const stream of [child.stdout!, child.stderr!]) {
    createInterface({ input: stream }).on("line", (line) => {
      if (line.trim()) kept.push(line);
      if (kept.length > KEPT_LINES) kept.shift();
    });
  }
  return kept;
}
