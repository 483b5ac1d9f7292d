import { ClipCapError } from "../runtime/errors.js";

export interface LongTask {
  /** Fires at Ctrl-C. */
  readonly signal: AbortSignal;
  /** Shows how far a file is; bytes. */
  readonly progress: (file: string, done: number, total: number) => void;
}

/** Tasks that end sooner show nothing. */
const SILENT_MS = 1000;
const REDRAW_MS = 100;
/** Where stderr is a file or a pipe, one line now and then. */
const PIPED_REDRAW_MS = 10_000;

/** Runs something that reads or writes large files: progress on stderr, and an end within a moment at Ctrl-C. */
export async function runLongTask<T>(quiet: boolean, run: (task: LongTask) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const stop = () => abort.abort(new ClipCapError("aborted", "Stopped."));
  const line = progressLine(quiet);
  process.once("SIGINT", stop);
  try {
    return await run({ signal: abort.signal, progress: line.show });
  } finally {
    process.off("SIGINT", stop);
    line.clear();
  }
}

function progressLine(quiet: boolean) {
  const terminal = process.stderr.isTTY;
  let next = performance.now() + SILENT_MS;
  let shown = false;
  return {
    show(file: string, done: number, total: number): void {
      if (quiet || performance.now() < next) return;
      next = performance.now() + (terminal ? REDRAW_MS : PIPED_REDRAW_MS);
      const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
      const text = `${file}  ${megabytes(done)} of ${megabytes(total)} MB  ${percent} %`;
      process.stderr.write(terminal ? `\r\x1b[K${text}` : `${text}\n`);
      shown = terminal;
    },
    clear(): void {
      if (shown) process.stderr.write("\r\x1b[K");
    },
  };
}

/** 1 MB = 10^6 bytes, as the hub shows sizes. */
export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
