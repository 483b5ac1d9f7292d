import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Explanation } from "../../src/cli/explain/explanation.js";
import { clipcap, picture, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();
const image = await picture(join(folder, "a.png"));
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

it("writes a page into a folder that it makes; the numbers of --json belong together", async () => {
  const out = join(folder, "new", "page.html");
  const ran = await clipcap(["explain", image, "--beam", "3", "--out", out, "--json"]);
  expect(ran.stderr).not.toContain("clipcap:");
  expect(ran.exitCode).toBe(0);
  const seen: Explanation & { readonly out: string } = JSON.parse(ran.stdout);
  expect(seen).toMatchObject({ out, file: "a.png", picture: { width: 96, height: 64 }, imageSize: 112 });
  expect(await readFile(out, "utf8")).toContain("a.png, explained</title>");

  // What one pass over the whole sentence says is what the decoder found with its cache.
  expect(Math.abs(sum(seen.words.map(({ probability }) => Math.log(probability))) - seen.logprob)).toBeLessThan(1e-3);
  for (const { heads } of seen.vision) for (const shares of heads) expect(sum(shares)).toBeCloseTo(1, 3);
  for (const [i, { attention }] of seen.words.entries()) {
    for (const shares of attention) {
      expect(shares).toHaveLength(seen.prefix.length + i);
      expect(sum(shares)).toBeCloseTo(1, 3);
    }
  }
  // The strong line of the tree spells the caption.
  const { steps, captions } = seen.beams!;
  const winner = steps.map((beams) => beams.find(({ wins }) => wins)!).filter(({ waits }) => !waits);
  expect(winner.map(({ text }) => text)).toEqual(seen.words.map(({ text }) => text));
  expect(captions).toHaveLength(3);
  expect(captions[0]!.text).toBe(seen.caption);
  expect(winner.at(-1)!.logprob).toBeCloseTo(seen.logprob, 4);
});

it("says the caption and where the page is", async () => {
  const out = join(folder, "plain.html");
  const [ran, caption] = [await clipcap(["explain", image, "--out", out]), await clipcap(["caption", image])];
  expect(ran.lines).toEqual([...caption.lines, `Wrote ${out}`]);
});

it.each([
  [["explain"], 2, "missing required argument 'image'"],
  [["explain", image, "--beam", "0"], 2, "--beam is 0; it must be a whole number from 1 to 16"],
  [["explain", join(folder, "none.jpg")], 1, "none.jpg does not exist"],
  [["explain", image, "--model", join(folder, "no-model")], 1, "no-model"],
])("refuses %j", async (args, exitCode, message) => {
  const ran = await clipcap(args);
  expect(ran.exitCode).toBe(exitCode);
  expect(ran.stdout).toBe("");
  expect(ran.stderr).toContain(message);
  expect(ran.stderr.trimEnd().split("\n")).toHaveLength(1);
});

it("refuses what is no image", async () => {
  const broken = join(folder, "broken.jpg");
  await writeFile(broken, "not a picture");
  const ran = await clipcap(["explain", broken]);
  expect(ran.exitCode).toBe(1);
  expect(ran.stderr).toMatch(/^clipcap: .*broken\.jpg/);
});
