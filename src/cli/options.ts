import type { Command } from "commander";
import { ClipCapError } from "../runtime/errors.js";

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly device: string;
}

const JSON_LINES = ["--json", "results as JSON, one object per line"] as const;

/** @param json flags and description of --json, where that is no flag alone */
export function withCommonOptions(command: Command, json: readonly [string, string] = JSON_LINES): Command {
  return command
    .optionsGroup("Output:")
    .option(...json)
    .option("--quiet", "no progress on stderr; errors are still reported")
    .optionsGroup("Device:")
    .option(
      "--device <which>",
      "auto, cpu, discrete, integrated, or a part of the adapter's name; where one is used",
      "auto",
    );
}

/** Reads a number; its range is checked where it is used. */
export function numeric(flag: string): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (Number.isNaN(value)) throw new ClipCapError("bad-usage", `${flag} is "${text}"; it must be a number`);
    return value;
  };
}

/** For an option that may be given several times. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}
