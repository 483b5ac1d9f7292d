// The parent's side of a process that serves one library (serve.ts, torch_peer.py).
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Case } from "./cases.js";
import type { Loaded } from "./library.js";
import { type Contestant, MAX_SECONDS, type Peer, type Sample } from "./peer.js";
import type { Answer, Request } from "./serve.js";

const path = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** A library of serve.ts. */
export function inNode(name: string, library: string): Contestant {
  return { name, open: () => Child.open(name, process.execPath, ["--import", "tsx", path("serve.ts"), library]) };
}

export function torch(device: "cpu" | "cuda"): Contestant {
  const name = `torch ${device}`;
  return { name, open: () => Child.open(name, "python3", [path("torch_peer.py"), device]) };
}

/** Lines of what a process printed last that are kept, to say why it ended. */
const KEPT_LINES = 20;

class Child implements Peer {
  private constructor(
    private readonly process: ChildProcess,
    private readonly answers: AsyncIterator<string>,
    private readonly lastLines: readonly string[],
    readonly name: string,
  ) {}

  static async open(name: string, program: string, args: readonly string[]): Promise<Child> {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe", "pipe"] });
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
