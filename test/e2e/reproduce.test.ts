import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { picture, runProgram, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();
const reproduce = (args: readonly string[]) => runProgram("scripts/reproduce/main.ts", args);

/** Sends the signal at the given look at the validation pictures; there are two of each of four variants. */
function endedAt(look: number, signal: NodeJS.Signals, args: readonly string[]) {
  let looks = 0;
  return runProgram("scripts/reproduce/main.ts", args, {
    disturb: (child) =>
      child.stdout.on("data", (text: string) => {
        looks += text.split("validation loss").length - 1;
        if (looks >= look) child.kill(signal);
      }),
  });
}

/** The page and all it was written from, but for the times. */
async function outcomeOf(out: string): Promise<readonly string[]> {
  const files = ["results.md", "results/loss-scenes.svg", "scenes/captions.md"];
  return Promise.all(files.map((file) => readFile(join(out, file), "utf8")));
}

test("a dry run of the experiment: killed, stopped and started again, it ends with the same page", async () => {
  const [straight, broken] = [join(folder, "straight"), join(folder, "broken")];
  const args = (out: string) => ["--dry-run", "--only", "scenes", "--out", out];
  expect((await reproduce(args(straight))).exitCode).toBe(0);

  expect((await endedAt(3, "SIGKILL", args(broken))).exitCode).toBeNull(); // in the second variant
  const stopped = await endedAt(2, "SIGINT", args(broken)); // later than that
  expect(stopped.exitCode, stopped.stderr).toBe(130);
  expect(existsSync(join(broken, "results.md"))).toBe(false);
  expect((await reproduce(args(broken))).exitCode).toBe(0);
  expect(await outcomeOf(broken)).toEqual(await outcomeOf(straight));

  const [page] = await outcomeOf(straight);
  expect(page).toContain("Made-up results; no number here means anything.");
  expect(page).toContain("MLP, GPT-2 fine-tuned");

  // Whoever deletes a variant's folder has that variant made anew.
  await rm(join(broken, "scenes", "mlp-tuned"), { recursive: true });
  expect((await reproduce(args(broken))).exitCode).toBe(0);
  expect(await outcomeOf(broken)).toEqual(await outcomeOf(straight));

  const other = await reproduce(["--only", "scenes", "--epochs", "1", "--out", straight]);
  expect(other.exitCode).toBe(2);
  expect(other.stderr).toContain("was trained with another configuration");
}, 600_000);

test("a dry run at full size: the paper's two recipes with CLIP ViT-B/32 and GPT-2 small", async () => {
  const out = join(folder, "full-size");
  const ran = await reproduce(["--full-size", "--dry-run", "--out", out]);
  expect(ran.exitCode, ran.stderr).toBe(0);
  const read = async (file: string) => JSON.parse(await readFile(join(out, "coco", file), "utf8"));
  for (const [variant, trained] of [
    ["mlp-tuned", 31_468_800 + 124_439_808],
    ["transformer-frozen", 41_745_408],
  ] as const) {
    expect(await read(`${variant}/record.json`)).toMatchObject({ finished: true, parameters: { trained } });
    expect((await read(`${variant}/config.json`)).optimizer).toEqual({ type: "hf2021" });
    expect((await readFile(join(out, "coco", variant, "captions/captions.jsonl"), "utf8")).split("\n").length).toBe(5);
  }
  const page = await readFile(join(out, "results.md"), "utf8");
  expect(page).toContain("Made-up results; no number here means anything.");
  for (const title of ["MLP, GPT-2 fine-tuned", "transformer, GPT-2 frozen"]) expect(page).toContain(title);
  await rm(out, { recursive: true }); // 5 GB
}, 1_200_000);

test("data without test pictures is refused before anything is trained", async () => {
  const data = join(folder, "two-splits.jsonl");
  const row = (file: string, split: string) => JSON.stringify({ file, split, captions: ["A dog ."] });
  for (const file of ["0.png", "1.png"]) await picture(join(folder, "images", file));
  await writeFile(data, [row("0.png", "train"), row("1.png", "dev")].join("\n"));
  const out = join(folder, "two-splits");
  const ran = await reproduce(["--only", "flickr8k", "--data", data, "--images", join(folder, "images"), "--out", out]);
  expect(ran.stderr).toContain(`${data} has no pictures of the split test; give data with all three`);
  expect(ran.exitCode).toBe(1);
  expect(existsSync(out)).toBe(false);
});

test.each([
  [["--only", "coco"], "--only is coco; give scenes or flickr8k"],
  [["--only", "scenes", "--data", "a.json"], "scenes are drawn; leave --data out"],
  [["--images", "photos"], "--images belongs to --data; give both"],
  [["--clip", "x"], "--clip and --gpt2 belong to --full-size; leave them out"],
  [["--dry-run", "--epochs", "3"], "--dry-run makes up data, networks and budget; leave --epochs"],
  [["--full-size", "--only", "scenes"], "--full-size is an experiment of its own; leave --only out"],
  [["--full-size"], "--full-size needs --data (dataset_coco.json), --images, --clip and --gpt2"],
])("%j is wrong usage", async (args, message) => {
  const ran = await reproduce([...args, "--out", join(folder, "none")]);
  expect(ran.stderr).toContain(`reproduce: ${message}`);
  expect(ran.exitCode).toBe(2);
  expect(existsSync(join(folder, "none"))).toBe(false);
});
