import type { Command } from "commander";
import { imageFiles } from "../data/files.js";
import type { RgbImage } from "../data/image/rgb.js";
import type { Caption, ClipCap } from "../models/clipcap.js";
import { batchSize, type CaptionOptions, captionOptions, generatorShape, seedOf } from "../models/options.js";
import { cropOption, type ImageBatch, type ImageOptions, imageBatches, namedFiles, RAW_ORIENTATION } from "./images.js";
import { type ModelOptions, openModel, withModelOptions } from "./model.js";
import { collect, numeric, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";
import { openTracing, type TraceOptions, withTraceOption } from "./trace.js";

type Options = ModelOptions &
  ImageOptions &
  TraceOptions &
  Omit<CaptionOptions, "signal"> & { readonly greedy?: boolean };

const EXAMPLES = `
Examples:
  clipcap caption photo.jpg                       the most probable words, one after the other
  clipcap caption holiday/ --beam 5 --json        every image in a folder, by beam search, as JSON lines
  clipcap caption "*.jpg" --top-p 0.9 --num 3     three captions each, drawn at random (--seed draws others)
  find . -name "*.png" | clipcap caption -        paths from standard input

JSON lines, in the order of the images: file, caption, tokens (ids), logprob (sum over the tokens), ms (milliseconds
of its batch divided by the batch's images; the first batch also compiles), and with --num also rank (1 is the best).`;

export function addCaption(program: Command): void {
  const noRepeatNgram = program
    .createOption("--no-repeat-ngram <n>", "no n tokens in a row occur twice")
    .argParser(numeric("--no-repeat-ngram"));
  noRepeatNgram.negate = false; // its name begins like the opposite of an option --repeat-ngram
  const command = program
    .command("caption")
    .summary("describe images in a sentence")
    .description("Describes each image in a sentence. Images are files, folders, patterns, or - for a list of paths.")
    .argument("<image...>", "JPEG, PNG, WebP, GIF, AVIF, TIFF or SVG files, folders, patterns")
    .optionsGroup("Decoding:")
    .option("--greedy", "the most probable token at each step (default)")
    .option("--beam <n>", "beam search with n beams", numeric("--beam"))
    .addOption(
      program
        .createOption("--beam-rule <rule>", "how beams are ranked (default: mean, the original's)")
        .choices(["mean", "length-normalised"]),
    )
    .option(
      "--length-penalty <x>",
      "exponent of the length, with length-normalised (default: 1)",
      numeric("--length-penalty"),
    )
    .option("--top-p <p>", "sample from the tokens that together have probability p", numeric("--top-p"))
    .option("--top-k <k>", "sample from the k most probable tokens", numeric("--top-k"))
    .option("--temperature <t>", "above 1 more varied, below 1 more certain", numeric("--temperature"))
    .option("--seed <n>", "seed of sampling (default: 0)", numeric("--seed"))
    .option("--num <n>", "captions per image (default: 1); without --beam they are sampled", numeric("--num"))
    .option(
      "--max-tokens <n>",
      "longest caption in tokens (default: 67, or what the model has room for)",
      numeric("--max-tokens"),
    )
    .option("--stop <text>", "end a caption at this token; may be repeated", collect)
    .option("--prompt <text>", "text that every caption continues")
    .option("--repetition-penalty <x>", "above 1: fewer repeated words", numeric("--repetition-penalty"))
    .addOption(noRepeatNgram)
    .optionsGroup("Images:")
    .option("--batch <n>", "images at once (default: 8)", numeric("--batch"))
    .addOption(cropOption(program))
    .option(...RAW_ORIENTATION)
    .addHelpText("after", EXAMPLES)
    .action(caption);
  command.options
    .find((option) => option.long === "--greedy")
    ?.conflicts(["beam", "topP", "topK", "temperature", "num"]);
  withTraceOption(withCommonOptions(withModelOptions(command)).optionsGroup("Output:"));
}

async function caption(args: readonly string[], options: Options): Promise<void> {
  const how: CaptionOptions = { ...captionOptions(options), signal: stopSignal };
  checkUsage(how);
  const screen = new Screen(options);
  const tracing = await openTracing(options);
  const { files, errors } = await imageFiles(args, process.stdin);
  for (const error of errors) screen.complain(error);
  if (files.length === 0) return;
  const images = namedFiles(files, options);
  const opening = openModel(options, screen, tracing);
  const preprocessing = opening.then(({ model }) => model.preprocessing);
  const complain = (error: unknown) => screen.complain(error);
  const batches = imageBatches(images, batchSize(how), preprocessing, options, complain, tracing.phase);
  try {
    const { model } = await opening;
    screen.progress("compiling kernels (the driver keeps them for next time)");
    let done = 0;
    for await (const batch of batches) {
      const work = streams(files, options)
        ? () => streamOne(model, batch.names[0]!, batch.images[0]!, how, screen)
        : () => captionBatch(model, batch, how, options, screen);
      await tracing.phase(`caption ${batch.images.length} images`, work);
      done += batch.images.length;
      if (done < files.length) screen.progress("captioning", done, files.length);
    }
    await tracing.write(screen);
  } finally {
    screen.idle();
    await opening.then(
      ({ device }) => device.close(),
      () => {},
    );
  }
}

/** What can be known to be wrong before a model is there: a model with room for everything is assumed. */
export function checkUsage(how: CaptionOptions): void {
  const positions = 65_536;
  generatorShape(how, { prefixLength: 1, positions, vocab: 2 ** 31, stopTokens: [], encode: () => [0] });
  batchSize(how);
  seedOf(how);
}

/** Whether words are shown as they come: to people who wait for one image. */
function streams(files: readonly string[], options: Options): boolean {
  return process.stdout.isTTY && !options.json && files.length === 1 && (options.num ?? 1) === 1;
}

async function streamOne(model: ClipCap, file: string, image: RgbImage, how: CaptionOptions, screen: Screen) {
  let text = "";
  for await (const piece of model.stream(image, how)) {
    if (text === "") screen.idle();
    screen.write(text === "" ? `${file}: ${piece.trimStart()}` : piece);
    text += piece;
  }
  screen.print(text === "" ? `${file}:` : "");
}

async function captionBatch(model: ClipCap, batch: ImageBatch, how: CaptionOptions, options: Options, screen: Screen) {
  const start = performance.now();
  const captions = await model.caption(batch.images, how);
  const ms = (performance.now() - start) / batch.images.length;
  captions.forEach((list, i) => {
    list.forEach((one, rank) => {
      const file = batch.names[i]!;
      screen.print(options.json ? jsonLine(file, one, ms, list.length > 1 ? rank + 1 : 0) : `${file}: ${one.text}`);
    });
  });
}

function jsonLine(file: string, { text, tokens, logprob }: Caption, ms: number, rank: number): string {
  const line = { file, caption: text, tokens, logprob: Number(logprob.toPrecision(7)), ms: Math.round(ms * 10) / 10 };
  return JSON.stringify(rank > 0 ? { ...line, rank } : line);
}
