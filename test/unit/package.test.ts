import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
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

describe("types", () => {
  let folder: string;
  const tsc = async (...args: string[]) => {
    const program = [`${ROOT}/node_modules/typescript/bin/tsc`, ...args];
    return promisify(execFile)(process.execPath, program, { cwd: ROOT }).catch(({ stdout }) => expect.fail(stdout));
  };

  beforeAll(async () => {
    await mkdir(`${ROOT}/.cache`, { recursive: true });
    folder = await mkdtemp(`${ROOT}/.cache/types-`); // below node_modules, for the types of sharp
    await tsc("-p", "tsconfig.build.json", "--emitDeclarationOnly", "--sourceMap", "false", "--outDir", folder);
  });
  afterAll(() => rm(folder, { recursive: true }));

  const node16 = ["--module", "node16", "--lib", "es2023"];
  const bundler = ["--module", "esnext", "--moduleResolution", "bundler"];
  it.each([
    ["node", node16],
    ["node", [...bundler, "--lib", "es2023"]],
    ["index", [...bundler, "--lib", "es2023,dom"]],
  ])("of %s need nothing else in a strict project with %j", async (entry, options) => {
    const file = `${folder}/${entry}-user.ts`;
    const uses = `import { ClipCap, openDevice } from "./${entry}.js";`;
    await writeFile(file, `${uses}\nexport const model = await ClipCap.load(await openDevice(), "/m");\n`);
    const strict = ["--strict", "--skipLibCheck", "false", "--target", "es2022", "--types", ""];
    await tsc("--ignoreConfig", "--noEmit", ...strict, ...options, file);
  });
});

it("devices opened at once share one instance of Dawn", async () => {
  const toggles = ["enable-dawn-features=use_user_defined_labels_in_backend"];
  const [first, second] = await Promise.all([nodeGpu(toggles), nodeGpu(toggles)]);
  expect(second).toBe(first);
});
