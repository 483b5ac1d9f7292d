/**
 * How long `clipcap search` takes over many images that it knows already (`npx tsx scripts/time-search.ts [images]`,
 * after `npm run build`). The images are empty files with made-up vectors: of what is timed nothing reads a picture.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSearchIndex } from "../src/cli/search-index.js";
import { random } from "../src/data/random.js";
import { DEFAULT_MODEL } from "../src/node/model.js";

const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const RUNS = 5;
const PER_FOLDER = 1000;

const count = Number(process.argv[2] ?? 100_000);
const root = mkdtempSync(join(tmpdir(), "clipcap-search-"));
try {
  await makeUp();
  const questions = Array.from({ length: RUNS }, (_, i) => `a dog number ${i + 1}`);
  report("new question", questions.map(time));
  report("known question", questions.map(time));
} finally {
  rmSync(root, { recursive: true });
}

async function makeUp(): Promise<void> {
  const index = await openSearchIndex({ model: DEFAULT_MODEL, dtype: "f32" }, join(root, "cache"));
  const images = await index.openImages();
  const numbers = random(1);
  const entries = Array.from({ length: count }, (_, i) => {
    const folder = join(root, "photos", String(Math.floor(i / PER_FOLDER)));
    if (i % PER_FOLDER === 0) mkdirSync(folder, { recursive: true });
    const id = join(folder, `${i}.jpg`);
    writeFileSync(id, "");
    const { width } = images.model;
    const embedding = Float32Array.from({ length: width }, (_, k) => numbers.uniform(i * width + k) - 0.5);
    return { id, stamp: `0-${statSync(id).mtimeMs}`, embedding };
  });
  await images.add(entries);
}

/** Milliseconds from start to end of the process. */
function time(question: string): number {
  const before = performance.now();
  const ran = spawnSync(process.execPath, [
    CLI,
    "search",
    question,
    join(root, "photos"),
    "--cache",
    join(root, "cache"),
  ]);
  if (ran.status !== 0 || `${ran.stdout}`.split("\n").length !== 11) throw new Error(`${ran.stdout}${ran.stderr}`);
  return performance.now() - before;
}

function report(what: string, times: readonly number[]): void {
  const sorted = times.map(Math.round).sort((a, b) => a - b);
  console.log(`${what} over ${count} images: median ${sorted[RUNS >> 1]} ms of ${sorted.join(", ")}`);
}
