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

/** Values in messages are cut: what comes from outside is hostile. */
const MAX_VALUE = 60;

/** A value from outside in a message, cut short; of lists and objects, which may be nested without end, the kind. */
export function shown(value: unknown): string {
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  const text = typeof value === "string" ? JSON.stringify(value) : String(value ?? (value === null ? null : "missing"));
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}…` : text;
}

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
