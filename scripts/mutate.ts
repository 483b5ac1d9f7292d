/**
 * Are the tests of gradients worth anything (`npm run mutate`)? One after the other, every fault of mutations.ts is put
 * into a copy of the repository, and a test has to fail there, on a number rather than because the kernel does not
 * compile. `npm run mutate -- attention softmax` takes those whose kernel or file contains one of the words.
 * Exit code 1 when a fault survives, when its words are not in the source any more, or when a kernel has none.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { allKernels } from "../src/kernels/index.js";
import { GRADIENT_KERNELS, MUTATIONS, type Mutation, type Test } from "./mutations.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** What the tests of kernels need; node_modules is linked. */
const COPIED = ["src", "test", "package.json", "tsconfig.json", "vitest.config.ts"];
/** A CI machine has two cores. Each has a copy, so that no fault meets another. */
const COPIES = 2;
/** A fault may make a loop endless. The tests of the table take 3 to 30 s, more on a busy machine. */
const TIMEOUT_MS = 300_000;

type Outcome =
  | { readonly type: "killed"; readonly by: string }
  | { readonly type: "survived" }
  /** Neither: no test ran, or the kernel does not compile. */
  | { readonly type: "void"; readonly why: string };

/** Kernels without a mutation, and mutations whose words are not in their file exactly once. */
export function staleness(mutations: readonly Mutation[], read: (file: string) => string): string[] {
  const misplaced = mutations.flatMap(({ kernel, file, from }) => {
    const times = read(file).split(from).length - 1;
    return times === 1 ? [] : [`${kernel}: "${from}" stands ${times} times in ${file}, expected once`];
  });
  const missing = allKernels()
    .map((k) => k.name)
    .filter((name) => GRADIENT_KERNELS.test(name) && !mutations.some(({ kernel }) => name.startsWith(kernel)));
  return [...misplaced, ...missing.map((name) => `${name}: no mutation`)];
}

interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly { status: string; fullName: string; failureMessages: readonly string[] }[];
  }[];
}

const running = new Set<ChildProcess>();

/** Runs the tests in `folder`. */
async function run(folder: string, { file, only }: Test): Promise<Outcome> {
  const output = join(folder, "report.json");
  rmSync(output, { force: true });
  const args = ["node_modules/vitest/vitest.mjs", "run", file, "--bail=1", "--reporter=json", `--outputFile=${output}`];
  const env = { MESA_SHADER_CACHE_DIR: join(ROOT, ".cache/mesa"), ...process.env };
  const child = spawn(process.execPath, only ? [...args, "-t", only] : args, {
    cwd: folder,
    env,
    stdio: "ignore",
    detached: true,
  });
  running.add(child);
  const timer = setTimeout(() => end(child), TIMEOUT_MS);
  await new Promise((done) => child.on("close", done));
  clearTimeout(timer);
  running.delete(child);
  return outcome(output);
}

function outcome(reportFile: string): Outcome {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(reportFile, "utf8")) as Report;
  } catch {
    return { type: "void", why: `no result within ${TIMEOUT_MS / 1000} s` };
  }
  const tests = report.testResults.flatMap((f) => f.assertionResults);
  const failed = tests.find((t) => t.status === "failed");
  const reason = failed?.failureMessages[0] ?? "";
  if (reason.includes("ClipCapError: kernel ")) return { type: "void", why: reason.split("\n")[0]! };
  if (failed) return { type: "killed", by: failed.fullName };
  if (tests.some((t) => t.status === "passed")) return { type: "survived" };
  return { type: "void", why: report.testResults[0]?.message.split("\n")[0] || "no test has this name" };
}

/** Ends vitest and the processes that it started. */
function end(child: ChildProcess): void {
  if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
}

async function mutated(folder: string, { file, from, to, test }: Mutation): Promise<Outcome> {
  const path = join(folder, file);
  const source = readFileSync(path, "utf8");
  writeFileSync(
    path,
    source.replace(from, () => to),
  );
  try {
    return await run(folder, test);
  } finally {
    writeFileSync(path, source);
  }
}

/** Takes the items in order, one in each folder at a time. */
async function inFolders<T>(
  folders: readonly string[],
  items: readonly T[],
  work: (f: string, item: T) => Promise<void>,
) {
  const left = [...items];
  await Promise.all(
    folders.map(async (folder) => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await work(folder, item);
    }),
  );
}

function copyRepository(): string {
  const folder = mkdtempSync(join(tmpdir(), "clipcap-mutate-"));
  for (const name of COPIED) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  return folder;
}

/** Returns whether every fault was found. */
async function mutate(folders: readonly string[], mutations: readonly Mutation[]): Promise<boolean> {
  const tests = new Map(mutations.map(({ test }) => [JSON.stringify(test), test]));
  let sound = true;
  await inFolders(folders, [...tests.values()], async (folder, test) => {
    const result = await run(folder, test);
    if (result.type === "survived") return; // as it must without a fault
    sound = false;
    console.error(
      `${test.file} ${test.only ?? ""}, without any fault: ${result.type === "killed" ? result.by : result.why}`,
    );
  });
  if (!sound) return false;
  console.log(`${tests.size} groups of tests pass without faults.\n`);

  let found = 0;
  await inFolders(folders, mutations, async (folder, mutation) => {
    const result = await mutated(folder, mutation);
    if (result.type === "killed") found++;
    const verdict = { killed: "killed by", survived: "SURVIVED", void: "VOID" }[result.type];
    const detail = result.type === "killed" ? result.by : result.type === "void" ? result.why : mutation.test.file;
    const words = `${mutation.from}  ->  ${mutation.to || "nothing"}`.replaceAll(/\s*\n\s*/g, " ");
    console.log(`${mutation.kernel.padEnd(26)} | ${words} | ${verdict} ${detail}`);
  });
  console.log(`\n${found} of ${mutations.length} faults found.`);
  return found === mutations.length;
}

async function main(words: readonly string[]): Promise<void> {
  const stale = staleness(MUTATIONS, (file) => readFileSync(join(ROOT, file), "utf8"));
  for (const line of stale) console.error(line);
  const asked = ({ kernel, file }: Mutation) => words.some((word) => kernel.includes(word) || file.includes(word));
  const chosen = words.length > 0 ? MUTATIONS.filter(asked) : MUTATIONS;
  if (stale.length > 0 || chosen.length === 0) {
    process.exitCode = 1;
    return;
  }
  const folders = Array.from({ length: COPIES }, copyRepository);
  const clean = () => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  };
  process.on("SIGINT", () => {
    for (const child of running) end(child);
    clean();
    process.exit(130);
  });
  try {
    if (!(await mutate(folders, chosen))) process.exitCode = 1;
  } finally {
    clean();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
