import type { Command } from "commander";
import { type FetchedModel, fetchModel } from "../weights/hub.js";
import { hubModels } from "../weights/hub-manifest.js";
import { type CommonOptions, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { stopSignal } from "./stop.js";

interface FetchFlags extends CommonOptions {
  readonly revision?: string;
  readonly cache?: string;
  readonly endpoint?: string;
}

const EXAMPLES = `
Examples:
  clipcap fetch                          the models that can be fetched
  clipcap fetch clip-vit-base-patch32    CLIP ViT-B/32, with which the original's MLP checkpoints were trained
  clipcap fetch gpt2 --quiet             only the folder, for: clipcap convert … --gpt2 "$(clipcap fetch gpt2 --quiet)"
`;

/** Adds `clipcap fetch [NAME]`. */
export function addFetch(program: Command): void {
  const command = program
    .command("fetch")
    .summary("download CLIP or GPT-2 from the Hugging Face hub")
    .description(
      "Downloads a model into the cache that Python's Hugging Face libraries use as well and prints its folder. " +
        "Interrupted downloads go on where they stopped. Without NAME: lists the models.",
    )
    .argument("[name]", "model, such as clip-vit-base-patch32 or gpt2")
    .option("--revision <rev>", "branch, tag or commit")
    .option("--cache <dir>", "cache folder; else HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub")
    .option("--endpoint <url>", "hub address; else HF_ENDPOINT or the public hub")
    .addHelpText("after", EXAMPLES)
    .action(async (name: string | undefined, flags: FetchFlags) => {
      const { revision, cache: cacheDir, endpoint, json, quiet } = flags;
      const screen = new Screen({ quiet });
      try {
        if (name === undefined) return await listModels(screen, json ?? false);
        const onProgress = (file: string, done: number, total: number) =>
          screen.progress(`fetching ${file}`, done, total);
        const model = await fetchModel(name, { revision, cacheDir, endpoint, signal: stopSignal, onProgress });
        if (json) screen.print(JSON.stringify(model));
        else for (const line of quiet ? [model.folder] : describe(model)) screen.print(line);
      } finally {
        screen.idle();
      }
    });
  withCommonOptions(command);
}

async function listModels(screen: Screen, json: boolean): Promise<void> {
  const models = [...(await hubModels()).values()];
  if (json) screen.print(JSON.stringify(models));
  else for (const { name, repo, revision } of models) screen.print(`${name.padEnd(24)}${repo} (${revision})`);
}

/** The result in sentences; the folder stands alone on the last line. */
function describe({ repo, commit, folder, files, offline }: FetchedModel): string[] {
  const lines = files.map(
    ({ file, bytes, cached }) => `${file}  ${(bytes / 1e6).toFixed(1)} MB${cached ? ", in the cache" : ""}`,
  );
  const source = offline
    ? "The hub was not asked or not reached; from the cache alone"
    : `${repo} at ${commit.slice(0, 8)}`;
  return [`${source}:`, ...lines, folder];
}
