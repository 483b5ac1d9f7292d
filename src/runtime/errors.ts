/** What went wrong, for programs. The message is one sentence for people, with the next step. */
export type ErrorCode =
  | "no-adapter"
  | "device-lost"
  | "device-closed"
  | "out-of-memory"
  | "validation"
  | "bad-input"
  | "bad-weights"
  | "bad-image"
  | "bad-usage"
  | "not-found"
  /** An optional npm package is not installed. */
  | "missing-package"
  | "io"
  | "network"
  | "aborted";

/** Every error that this project throws on purpose; anything else is a bug. */
export class ClipCapError extends Error {
  override readonly name = "ClipCapError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
