import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProgram, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();
const reproduce = (args: readonly string[], onOutput?: (text: string, kill: () => void) => void) =>
  runProgram("scripts/reproduce/main.ts", args, {
    disturb: (child) => {
      child.stdout.on("data", (text: string) => onOutput?.(text, () => child.kill("SIGKILL")));
    },
  });

/** The page and all it was written from, but for the times. */
async function outcomeOf(out: string): Promise<readonly string[]> {
  const files = ["results.md", "results/loss-scenes.svg", "scenes/captions.md"];
  return Promise.all(files.map((file) => readFile(join(out, file), "utf8")));
}

test("a dry run of the experiment: killed between two variants and started again, it ends with the same page", async () => {
  const [straight, killed] = [join(folder, "straight"), join(folder, "killed")];
  const args = (out: string) => ["--dry-run", "--only", "scenes", "--out", out];
  const whole = await reproduce(args(straight));
  expect(whole.exitCode).toBe(0);

  let looks = 0;
  const broken = await reproduce(args(killed), (text, kill) => {
    looks += text.split("validation loss").length - 1;
    if (looks >= 3) kill(); // in the second of four variants
  });
  expect(broken.exitCode).not.toBe(0);
  expect(existsSync(join(killed, "results.md"))).toBe(false);
  expect((await reproduce(args(killed))).exitCode).toBe(0);
  expect(await outcomeOf(killed)).toEqual(await outcomeOf(straight));

  const [page] = await outcomeOf(straight);
  expect(page).toContain("Made-up results; no number here means anything.");
  expect(page).toContain("MLP, GPT-2 fine-tuned");

  const other = await reproduce(["--only", "scenes", "--epochs", "1", "--out", straight]);
  expect(other.exitCode).toBe(2);
  expect(other.stderr).toContain("was trained with another configuration");
}, 300_000);
