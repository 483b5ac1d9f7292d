#!/usr/bin/env node
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { ClipCapError } from "../runtime/errors.js";
import { outcome } from "./fail.js";
import { stopSignal, watchForStop } from "./stop.js";

const EXAMPLES = `
Examples:
  clipcap caption photo.jpg        one sentence about a photo
  clipcap doctor                   whether this machine can do it, and what to install if not
  clipcap caption --help           all options of a command`;

/** In the order of --help. One command does not wait for what the others import: all of them take 0.2 s. */
const COMMANDS: ReadonlyMap<string, () => Promise<(program: Command) => void>> = new Map([
  ["caption", async () => (await import("./caption.js")).addCaption],
  ["train", async () => (await import("./train.js")).addTrain],
  ["eval", async () => (await import("./eval.js")).addEval],
  ["explain", async () => (await import("./explain.js")).addExplain],
  ["metrics", async () => (await import("./metrics.js")).addMetrics],
  ["embed", async () => (await import("./embed.js")).addEmbed],
  ["search", async () => (await import("./search.js")).addSearch],
  ["convert", async () => (await import("./convert.js")).addConvert],
  ["fetch", async () => (await import("./fetch.js")).addFetch],
  ["report", async () => (await import("./report.js")).addReport],
  ["bench", async () => (await import("./bench.js")).addBench],
  ["tune", async () => (await import("./tune.js")).addTune],
  ["doctor", async () => (await import("./doctor.js")).addDoctor],
]);

async function main(argv: readonly string[]): Promise<void> {
  const commander = await import("commander").catch((cause) => {
    const message = "the command line needs the package commander; run: npm install commander";
    throw new ClipCapError("missing-package", message, { cause });
  });
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
  const program = new commander.Command("clipcap")
    .description("Captions for images, on WebGPU.")
    .version(version)
    .exitOverride() // throws instead of ending the process
    .configureOutput({ outputError: () => {} }) // errors are printed in one place, below
    .addHelpText("after", EXAMPLES);
  const named = COMMANDS.get(argv[2] ?? "");
  for (const load of named ? [named] : COMMANDS.values()) (await load())(program);
  await program.parseAsync(argv);
  stopSignal.throwIfAborted();
}

/** Says what went wrong and sets the exit code. */
function fail(error: unknown): void {
  const { message, exitCode } = outcome(error);
  if (message) process.stderr.write(`${message}\n`);
  process.exitCode = exitCode;
}

watchForStop();
process.on("uncaughtException", (error) => {
  fail(error);
  process.exit();
});
await main(process.argv).catch(fail);
