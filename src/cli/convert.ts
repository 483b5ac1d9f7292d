import type { Command } from "commander";
import { type ConvertReport, convert } from "../weights/convert.js";
import { WEIGHT_TYPES, type WeightType } from "../weights/recode.js";
import { type CommonOptions, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";

interface ConvertFlags extends CommonOptions {
  readonly dtype?: WeightType;
  readonly clip?: string;
  readonly gpt2?: string;
  readonly normalizePrefix?: boolean;
}

const EXAMPLES = `
Examples:
  clipcap convert coco_weights.pt my-model --clip CLIP_FOLDER --gpt2 GPT2_FOLDER
                                                   a checkpoint of the original ClipCap, ready for caption --model
  clipcap convert my-model my-model-q8 --dtype q8  a quarter of the size
  clipcap convert my-model my-model.pt             back to a checkpoint of the original's layout
`;

/** Adds `clipcap convert IN OUT`. */
export function addConvert(program: Command): void {
  const command = program
    .command("convert")
    .summary("convert checkpoints, Hugging Face folders and model folders")
    .description(
      "Converts a checkpoint of the original ClipCap (.pt) to a model folder, a model folder to a checkpoint (OUT ending " +
        "in .pt), or any of them and Hugging Face folders of CLIP and GPT-2 to another number type.",
    )
    .argument("<in>", "checkpoint, model folder, or Hugging Face folder")
    .argument("<out>", "new folder, or a file ending in .pt")
    .addOption(
      program
        .createOption("--dtype <type>", "number type of the weights; unchanged unless given")
        .choices(WEIGHT_TYPES),
    )
    .option("--clip <dir>", "Hugging Face folder of the CLIP that the checkpoint was trained with")
    .option("--gpt2 <dir>", "Hugging Face folder of the GPT-2 that the checkpoint was trained with")
    .option("--normalize-prefix", "the checkpoint was trained with normalised embeddings (--normalize_prefix)")
    .addHelpText("after", EXAMPLES)
    .action(async (input: string, output: string, flags: ConvertFlags) => {
      const { json, quiet, device: _unused, ...options } = flags;
      const screen = new Screen({ quiet });
      try {
        const onProgress = (file: string, done: number, total: number) =>
          screen.progress(`writing ${file}`, done, total);
        const report = await convert(input, output, { ...options, signal: stopSignal, onProgress });
        if (json) screen.print(JSON.stringify(report));
        else if (!quiet) for (const line of describe(report)) screen.print(line);
      } finally {
        screen.idle();
      }
    });
  withCommonOptions(command);
}

/** The report in sentences. */
function describe({ output, files }: ConvertReport): string[] {
  const lines = files.map(({ file, tensors, converted, lossy, maxError, worst }) => {
    if (converted === 0) return `${file}: ${tensors} tensors, unchanged`;
    const loss = lossy === 0 ? "without loss" : `${lossy} rounded, by at most ${maxError.toPrecision(3)} (${worst})`;
    return `${file}: ${tensors} tensors, ${converted} converted, ${loss}`;
  });
  return [...lines, `Wrote ${output}`];
}
