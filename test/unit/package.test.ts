import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { nodeGpu } from "../../src/node/dawn.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

it("the published package has the recipes and weights that commands look for beside dist", async () => {
  const pack = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const { stdout } = await promisify(execFile)("npm", pack, { cwd: ROOT, maxBuffer: 2 ** 24 });
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const packed = files.map(({ path }) => path);
  const recipes = (await readdir(`${ROOT}/recipes`)).map((name) => `recipes/${name}`);
  expect(recipes.length).toBeGreaterThan(0);
  expect(packed).toEqual(expect.arrayContaining([...recipes, "weights/flickr8k-small/clipcap.json"]));
});

it("devices opened at once share one instance of Dawn", async () => {
  const toggles = ["enable-dawn-features=use_user_defined_labels_in_backend"];
  const [first, second] = await Promise.all([nodeGpu(toggles), nodeGpu(toggles)]);
  expect(second).toBe(first);
});
