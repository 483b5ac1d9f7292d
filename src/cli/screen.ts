import { EXIT_FAILED, sentence } from "./fail.js";

export interface ScreenOptions {
  /** No progress; errors are still printed. */
  readonly quiet?: boolean;
}

/** One thing that takes a while. */
interface Task {
  readonly what: string;
  readonly done: number;
  readonly total: number;
  /** Ends the line, such as "812 tokens/s"; "" for none. */
  readonly note: string;
  /** Beginning, in milliseconds of performance.now(), and how much was done by then. */
  readonly since: number;
  readonly from: number;
}

/** How long a task lasts before it is worth a word, and how often its line is renewed. */
const TERMINAL = { firstMs: 300, everyMs: 100 };
const FILE = { firstMs: 1000, everyMs: 10_000 };
const BAR_CELLS = 24;

/** What a command shows: results on stdout; errors and progress on stderr. */
export class Screen {
  private readonly live: boolean;
  private readonly pace: typeof TERMINAL;
  private task: Task | undefined;
  private timer: NodeJS.Timeout | undefined;
  private shownAt = 0;
  private drawn = false;

  constructor(private readonly options: ScreenOptions = {}) {
    this.live = process.stderr.isTTY === true && process.env.TERM !== "dumb";
    this.pace = this.live ? TERMINAL : FILE;
  }

  /** One result. */
  print(line: string): void {
    this.write(`${line}\n`);
  }

  /** A part of a result's line. */
  write(text: string): void {
    this.wipe();
    process.stdout.write(text);
  }

  /** Reports an error that does not end the command; the exit code will be 1. */
  complain(error: unknown): void {
    this.wipe();
    process.stderr.write(`clipcap: ${sentence(error)}\n`);
    process.exitCode = EXIT_FAILED;
  }

  /** Something to know that is no failure. */
  note(text: string): void {
    if (this.options.quiet) return;
    this.wipe();
    process.stderr.write(`clipcap: ${text}\n`);
  }

  /** Says what is being done, how much of it, and a note such as "812 tokens/s"; a total of 0 is unknown. */
  progress(what: string, done = 0, total = 0, note = ""): void {
    if (this.options.quiet) return;
    const now = performance.now();
    const { since, from } = this.task?.what === what ? this.task : { since: now, from: done };
    if (since === now) this.shownAt = now + this.pace.firstMs - this.pace.everyMs;
    this.task = { what, done, total, note, since, from };
    this.timer ??= setInterval(() => this.draw(), TERMINAL.everyMs).unref();
    this.draw();
  }

  /** Nothing is being done any more. */
  idle(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.task = undefined;
    this.wipe();
  }

  private draw(): void {
    const now = performance.now();
    if (!this.task || now - this.shownAt < this.pace.everyMs) return;
    this.shownAt = now;
    const line = progressLine(this.task, now - this.task.since, this.live);
    process.stderr.write(this.live ? `\r\x1b[K${line.slice(0, (process.stderr.columns || 80) - 1)}` : `${line}\n`);
    this.drawn = this.live;
  }

  private wipe(): void {
    if (this.drawn) process.stderr.write("\r\x1b[K");
    this.drawn = false;
  }
}

/** A line such as `training ━━━━━━────── 12 of 48, 3 s left, 812 tokens/s`. */
export function progressLine(task: Omit<Task, "since">, elapsedMs: number, bar: boolean): string {
  const { what, done, total, from } = task;
  const seconds = Math.round(elapsedMs / 1000);
  const note = task.note && `, ${task.note}`;
  if (total === 0) return seconds < 1 ? `${what} …` : `${what} … ${duration(seconds)}${note}`;
  const cells = Math.round((BAR_CELLS * done) / total);
  const drawing = bar ? ` ${"━".repeat(cells)}${"─".repeat(BAR_CELLS - cells)} ` : " ";
  const left = Math.round(((elapsedMs / 1000) * (total - done)) / Math.max(1, done - from));
  const rest = done > from && seconds >= 2 ? `, ${duration(left)} left` : "";
  return `${what}${drawing}${amount(done, total)}${rest}${note}`;
}

/** Counts of things as they are, bytes (which come by the million) in MB. */
function amount(done: number, total: number): string {
  if (total < 1_000_000) return `${done} of ${total}`;
  return `${Math.round(done / 1e6)} of ${Math.round(total / 1e6)} MB`;
}

function duration(seconds: number): string {
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
