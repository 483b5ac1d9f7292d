import { basename } from "node:path";
import type { Command } from "commander";
import { decodeImage } from "../data/image/decode-node.js";
import { resizeAndCrop } from "../data/image/preprocess.js";
import { writeAtomically } from "../weights/node-source.js";
import { checkUsage } from "./caption.js";
import { explain } from "./explain/explanation.js";
import { explanationPage } from "./explain/node-page.js";
import { type ModelOptions, openModel, withModelOptions } from "./model.js";
import { numeric, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";

interface Options extends ModelOptions {
  readonly beam?: number;
  readonly out: string;
}

const HELP = `
Examples:
  clipcap explain photo.jpg                             writes explain.html
  clipcap explain photo.jpg --beam 5 --out search.html  with the tree of the search

The page is one file that opens without a network. It shows what CLIP attends to in each layer, the words that lie nearest
to the prefix vectors, each word's probability and alternatives, and what each choice attended to. Every number was read
back from the model: one run finds the caption, one looks inside it, and with --beam one keeps the beams. --json prints
all of them.`;

export function addExplain(program: Command): void {
  const command = program
    .command("explain")
    .summary("a page that shows how a caption came about")
    .description("Captions an image and writes an HTML page about what happened inside the model.")
    .argument("<image>", "a JPEG, PNG, WebP, GIF, AVIF, TIFF or SVG file")
    .option("--beam <n>", "beam search with n beams (default: the most probable token at each step)", numeric("--beam"))
    .option("--out <file>", "the page", "explain.html")
    .addHelpText("after", HELP)
    .action(writeExplanation);
  withCommonOptions(withModelOptions(command));
}

async function writeExplanation(file: string, options: Options): Promise<void> {
  const { beam, out } = options;
  checkUsage({ beam });
  const screen = new Screen(options);
  const image = await decodeImage(file);
  const { device, model } = await openModel(options, screen);
  try {
    screen.progress("looking inside");
    const explanation = await explain(model, { file: basename(file), image, beam });
    const page = await explanationPage(explanation, image, resizeAndCrop(image, model.preprocessing));
    await writeAtomically(out, (sink) => sink.write(Buffer.from(page)), stopSignal);
    if (options.json) screen.print(JSON.stringify({ out, ...explanation }));
    else screen.print(`${file}: ${explanation.caption}`);
    if (!options.json && !options.quiet) screen.print(`Wrote ${out}`);
  } finally {
    screen.idle();
    device.close();
  }
}
