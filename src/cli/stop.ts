/**
 * How a command ends early: at Ctrl-C, when it is told to terminate, or when nobody reads its output any more.
 * These come to the process, so there is one signal for all of it.
 */

/** The reason of the abort: the exit code that says why. */
export class Stop extends Error {
  constructor(readonly exitCode: number) {
    super(`stopped with exit code ${exitCode}`);
  }
}

/** A command that has not ended by itself this long after Ctrl-C is ended; a driver compiles for seconds on end. */
const PATIENCE_MS = 500;

const stopping = new AbortController();
let patience = PATIENCE_MS;

/**
 * For work that must come to an end of its own, however long that takes: a training step and its checkpoint. The returned
 * function says that it has.
 */
export function waitForTheEnd(): () => void {
  patience = Number.POSITIVE_INFINITY;
  return () => {
    patience = PATIENCE_MS;
    if (stopSignal.aborted) endSoon((stopSignal.reason as Stop).exitCode);
  };
}

/** exit also runs what removes half-written files. */
function endSoon(exitCode: number): void {
  if (patience < Number.POSITIVE_INFINITY) setTimeout(() => process.exit(exitCode), patience).unref();
}

/** Aborted when the command shall end. Whoever works for longer than a moment watches it. */
export const stopSignal: AbortSignal = stopping.signal;

/** Gives up waiting at Ctrl-C, for what cannot be told to end: a kernel that compiles, a long decoding. */
export function untilStopped<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(stopSignal.reason);
    if (stopSignal.aborted) stop();
    stopSignal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => stopSignal.removeEventListener("abort", stop));
  });
}

/** Listens for what ends a command. A second Ctrl-C ends it at once. */
export function watchForStop(): void {
  for (const [signal, exitCode] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.on(signal, () => {
      if (stopSignal.aborted) process.exit(exitCode);
      stopping.abort(new Stop(exitCode));
      endSoon(exitCode);
    });
  }
  // `clipcap … | head` has all it wants: no error, as with other filters.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && !stopSignal.aborted) {
      process.stderr.write(
        `clipcap: standard output cannot be written (${error.code}); free some space and run again\n`,
      );
    }
    const exitCode = error.code === "EPIPE" ? 0 : 1;
    process.exitCode ||= exitCode; // the command may have ended already: the error comes after the write
    stopping.abort(new Stop(exitCode));
  });
  process.stderr.on("error", () => {}); // nobody is left to tell
}
