import type { Command } from "commander";
import { type FetchedModel, fetchModel } from "../weights/hub.js";
import { hubModels } from "../weights/hub-manifest.js";
import { megabytes, runLongTask } from "./long-task.js";

interface FetchFlags {
  readonly revision?: string;
  readonly cache?: string;
  readonly endpoint?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Adds `clipcap fetch [NAME]`. */
export function addFetch(program: Command): void {
  program
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
    .option("--json", "print the result as JSON")
    .option("--quiet", "no progress; print the folder alone")
    .action(async (name: string | undefined, flags: FetchFlags) => {
      if (name === undefined) return listModels(flags.json ?? false);
      const { revision, cache: cacheDir, endpoint, json, quiet = false } = flags;
      const model = await runLongTask(quiet, ({ signal, progress }) =>
        fetchModel(name, { revision, cacheDir, endpoint, signal, onProgress: progress }),
      );
      if (json) console.log(JSON.stringify(model));
      else for (const line of quiet ? [model.folder] : describe(model)) console.log(line);
    });
}

async function listModels(json: boolean): Promise<void> {
  const models = [...(await hubModels()).values()];
  if (json) console.log(JSON.stringify(models));
  else for (const { name, repo, revision } of models) console.log(`${name.padEnd(24)}${repo} (${revision})`);
}

/** The result in sentences; the folder stands alone on the last line. */
function describe({ repo, commit, folder, files, offline }: FetchedModel): string[] {
  const lines = files.map(
    ({ file, bytes, cached }) => `${file}  ${megabytes(bytes)} MB${cached ? ", in the cache" : ""}`,
  );
  const source = offline
    ? "The hub was not asked or not reached; from the cache alone"
    : `${repo} at ${commit.slice(0, 8)}`;
  return [`${source}:`, ...lines, folder];
}
