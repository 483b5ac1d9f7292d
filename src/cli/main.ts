#!/usr/bin/env node
import { readFile } from "node:fs/promises";
import { ClipCapError } from "../runtime/errors.js";
import { addCaption } from "./caption.js";
import { addConvert } from "./convert.js";
import { addDoctor } from "./doctor.js";
import { addEmbed } from "./embed.js";
import { addEval } from "./eval.js";
import { addExplain } from "./explain.js";
import { outcome } from "./fail.js";
import { addFetch } from "./fetch.js";
import { addMetrics } from "./metrics.js";
import { addReport } from "./report.js";
import { addSearch } from "./search.js";
import { stopSignal, watchForStop } from "./stop.js";
import { addTrain } from "./train.js";

const EXAMPLES = `
Examples:
  clipcap caption photo.jpg        one sentence about a photo
  clipcap doctor                   whether this machine can do it, and what to install if not
  clipcap caption --help           all options of a command`;

async function main(argv: readonly string[]): Promise<void> {
  const { Command } = await import("commander").catch((cause) => {
    throw new ClipCapError("not-found", "the command line needs the package commander; run: npm install commander", {
      cause,
    });
  });
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8"));
  const program = new Command("clipcap")
    .description("Captions for images, on WebGPU.")
    .version(version)
    .exitOverride() // throws instead of ending the process
    .configureOutput({ outputError: () => {} }) // errors are printed in one place, below
    .addHelpText("after", EXAMPLES);
  const commands = [
    addCaption,
    addTrain,
    addEval,
    addExplain,
    addMetrics,
    addEmbed,
    addSearch,
    addConvert,
    addFetch,
    addReport,
    addDoctor,
  ];
  for (const add of commands) add(program);
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
