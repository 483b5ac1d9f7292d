import { ClipCapError } from "../runtime/errors.js";
import { type Stop, stopSignal } from "./stop.js";

export const EXIT_FAILED = 1;
const EXIT_WRONG_USAGE = 2;

/** Names of CaptionOptions that stand in messages of the library and are flags here. */
const OPTION_NAMES =
  /\b(beamRule|lengthPenalty|topK|topP|maxTokens|repetitionPenalty|noRepeatNgram)\b|^(beam|num|stop|seed|batch|prompt|temperature)(?= is )/g;

/** An error as one sentence for people. */
export function sentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (!(error instanceof ClipCapError) || error.code !== "bad-usage") return text;
  return text.replace(OPTION_NAMES, (name) => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`);
}

/** What a command's error prints on stderr ("" where there is nothing to say) and the exit code that goes with it. */
export function outcome(error: unknown): { readonly message: string; readonly exitCode: number } {
  if (stopSignal.aborted) return { message: "", exitCode: (stopSignal.reason as Stop).exitCode };
  if (isCommanderError(error)) return usageOutcome(error);
  const exitCode = error instanceof ClipCapError && error.code === "bad-usage" ? EXIT_WRONG_USAGE : EXIT_FAILED;
  return { message: `clipcap: ${sentence(error)}${trace(error)}`, exitCode };
}

/** An unexpected error's stack helps whoever can read it; everybody else is told how to get it. */
function trace(error: unknown): string {
  if (process.env.CLIPCAP_DEBUG === "1") return `\n${error instanceof Error ? error.stack : ""}`;
  return error instanceof ClipCapError ? "" : " (unexpected; CLIPCAP_DEBUG=1 shows where it happened)";
}

interface CommanderError extends Error {
  readonly code: string;
  readonly exitCode: number;
}

/** By its code, since commander is loaded only where it is there. */
function isCommanderError(error: unknown): error is CommanderError {
  return (
    error instanceof Error && "exitCode" in error && String((error as CommanderError).code).startsWith("commander.")
  );
}

/** Help that was asked for is a success; help that is shown for want of a command is not, and is on stderr already. */
function usageOutcome({ code, exitCode, message }: CommanderError): { message: string; exitCode: number } {
  if (exitCode === 0) return { message: "", exitCode: 0 };
  if (code === "commander.help") return { message: "", exitCode: EXIT_WRONG_USAGE };
  const text = message
    .replace(/^error: /, "")
    .replace(/\s*\n\s*/g, " ")
    .replace(/\.$/, "");
  return { message: `clipcap: ${text}; --help lists what there is`, exitCode: EXIT_WRONG_USAGE };
}
