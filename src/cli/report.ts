import { join } from "node:path";
import type { Command } from "commander";
import { writeReport } from "../train/report/node-report.js";
import { type CommonOptions, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";

interface ReportFlags extends CommonOptions {
  readonly out?: string;
}

const EXAMPLES = `
Examples:
  clipcap report run                           run/report.html
  clipcap report run-a run-b --out both.html   the curves of two runs in one page

The page is one file that opens without a network. The run may be under way: call it again for a newer page.`;

export function addReport(program: Command): void {
  const command = program
    .command("report")
    .summary("a page with the curves of training runs")
    .description(
      "Writes an HTML page about one or several training runs: curves, sample captions over time, configuration.",
    )
    .argument("<run...>", "folders that clipcap train wrote")
    .option("--out <file>", "the page; RUN/report.html, or report.html where there are several runs")
    .addHelpText("after", EXAMPLES)
    .action(report);
  withCommonOptions(command);
}

async function report(folders: readonly string[], options: ReportFlags): Promise<void> {
  const screen = new Screen(options);
  const out = options.out ?? (folders.length === 1 ? join(folders[0]!, "report.html") : "report.html");
  const runs = await writeReport(folders, out);
  if (options.json) screen.print(JSON.stringify({ out, runs }));
  else if (!options.quiet) screen.print(`Wrote ${out}`);
}
