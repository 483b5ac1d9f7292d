import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import type { RgbImage } from "../data/image/rgb.js";
import { ClipCap } from "../models/clipcap.js";
import { DEFAULT_MODEL, modelFolder } from "../node/model.js";
import type { Device } from "../runtime/device.js";
import { mebibytes } from "../runtime/memory.js";
import { readTable, tableFile, tunedOf } from "../tune/node-table.js";
import { chooseDevice, takesUsualKernels } from "./device.js";
import { EXIT_FAILED, sentence } from "./fail.js";
import { type CommonOptions, withCommonOptions } from "./options.js";
import { Screen } from "./screen.js";
import { selfTest } from "./self-test.js";
import { stopSignal } from "./stop.js";

const EXAMPLES = `
Examples:
  clipcap doctor                   what is here, what is missing, what to install
  clipcap doctor --device cpu      the same for the software driver
  clipcap doctor --json            one JSON object: ok, checks [{name, ok, detail, advice, data}]

The exit code is 1 where captioning cannot work.`;

/** What one look at the machine found. */
interface Check {
  readonly name: string;
  /** False where captioning cannot work because of this. */
  readonly ok: boolean;
  readonly detail: string;
  /** What would make it better, for whoever wants that; necessary where `ok` is false. */
  readonly advice?: string;
  readonly data?: unknown;
}

/** Optional packages and what is missing without them. */
const PACKAGES: Readonly<Record<string, { readonly needed: boolean; readonly serves: string }>> = {
  webgpu: { needed: true, serves: "the GPU in Node" },
  sharp: { needed: true, serves: "decoding images" },
  "@huggingface/hub": { needed: false, serves: "clipcap fetch" },
  uplot: { needed: false, serves: "clipcap report" },
};
const OLDEST_NODE = [20, 19] as const;

export function addDoctor(program: Command): void {
  const command = program
    .command("doctor")
    .summary("check this machine: adapter, driver, packages, numbers")
    .description("Looks for everything that captioning needs, tests the device's arithmetic and captions a picture.")
    .addHelpText("after", EXAMPLES)
    .action(doctor);
  withCommonOptions(command);
}

async function doctor(options: CommonOptions): Promise<void> {
  const screen = new Screen(options);
  const checks: Check[] = [];
  const found = (check: Check) => {
    checks.push(check);
    if (!options.json) screen.print(`${check.ok ? "ok  " : "FAIL"}  ${check.name.padEnd(12)}${check.detail}`);
  };
  try {
    found(checkNode());
    for (const check of checkPackages()) found(check);
    screen.progress("opening the device");
    for await (const check of checkDevice(options, screen)) found(check);
  } finally {
    screen.idle();
  }
  const ok = checks.every((check) => check.ok);
  if (options.json) screen.print(JSON.stringify({ ok, checks }));
  for (const { advice } of checks) if (advice && !options.json) screen.print(`\n${advice}`);
  if (!ok) process.exitCode = EXIT_FAILED;
}

function checkNode(): Check {
  const { node } = process.versions;
  const [major = 0, minor = 0] = node.split(".").map(Number);
  const ok = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  const [cores, memory] = [availableParallelism(), totalmem()];
  return {
    name: "Node",
    ok,
    detail: `${node}, ${process.platform} ${process.arch}, ${cores} cores, ${mebibytes(memory)} of memory`,
    advice: ok ? undefined : `Install Node ${OLDEST_NODE.join(".")} or newer.`,
    data: { node, platform: process.platform, arch: process.arch, cores, memory },
  };
}

function checkPackages(): Check[] {
  return Object.entries(PACKAGES).map(([name, { needed, serves }]): Check => {
    const version = packageVersion(name);
    if (version) return { name: "Package", ok: true, detail: `${name} ${version}`, data: { package: name, version } };
    return {
      name: "Package",
      ok: !needed,
      detail: `${name} is not installed`,
      advice: `For ${serves} run: npm install ${name}`,
      data: { package: name },
    };
  });
}

/** The installed version of a package: that of the package.json above its entry. */
function packageVersion(name: string): string | undefined {
  try {
    for (let folder = dirname(fileURLToPath(import.meta.resolve(name))); ; folder = dirname(folder)) {
      const file = join(folder, "package.json");
      const found = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
      if (found.name === name) return found.version;
      if (folder === dirname(folder)) return undefined;
    }
  } catch {
    return undefined;
  }
}

async function* checkDevice(options: CommonOptions, screen: Screen): AsyncGenerator<Check> {
  let device: Device | undefined;
  try {
    device = await chooseDevice(options.device);
    yield describeAdapter(device);
    yield describeLimits(device);
    yield await describeKernels(device);
    screen.progress("compiling kernels (the driver keeps them for next time)");
    yield await checkNumbers(device);
    stopSignal.throwIfAborted();
    yield await checkCaption(device);
  } catch (error) {
    stopSignal.throwIfAborted();
    const advice = "Nothing can be captioned until this works.";
    yield { name: device ? "Device" : "Adapter", ok: false, detail: sentence(error), advice };
  } finally {
    device?.close();
  }
}

function describeAdapter({ adapter, lanes }: Device): Check {
  const kernels = lanes > 0 ? `, kernels for ${lanes} lanes` : "";
  return {
    name: "Adapter",
    ok: true,
    detail: `${adapter.description || adapter.vendor} (${adapter.isCpu ? "software, on the CPU" : "GPU"}${kernels})`,
    advice: adapter.isCpu ? "Everything runs on the CPU; a GPU with its driver would be many times faster." : undefined,
    data: { ...adapter, lanes },
  };
}

/** The kernels need no more than what WebGPU guarantees; more lets large tensors stay in one piece. */
function describeLimits({ limits, gpu }: Device): Check {
  const features = [...gpu.features].sort();
  return {
    name: "Limits",
    ok: true,
    detail:
      `bindings of ${mebibytes(limits.maxBindingBytes)}, buffers of ${mebibytes(limits.maxBufferBytes)}, ` +
      `${limits.workgroupBytes / 1024} KiB of workgroup memory; features: ${features.join(", ")}`,
    data: { ...limits, features },
  };
}

/** What `clipcap tune` found; that it found nothing, or for another driver, is no failure. */
async function describeKernels(device: Device): Promise<Check> {
  const check = { name: "Kernels", ok: true };
  try {
    const table = await readTable(tableFile(device.adapter), device);
    if (!table) return { ...check, detail: "the usual ones; clipcap tune finds the fastest in a minute or two" };
    const { digest, choices } = tunedOf(table);
    const [date, changed] = [table.date.slice(0, 10), Object.keys(choices).length];
    const unused = takesUsualKernels() ? "; not used, as CLIPCAP_TUNE=0 says" : "";
    const detail = `measured ${date}: ${changed} of ${table.results.length} classes take another than usual${unused}`;
    return { ...check, detail, data: { digest, date: table.date } };
  } catch (error) {
    return { ...check, detail: `the usual ones: ${sentence(error)}; run clipcap tune again` };
  }
}

async function checkNumbers(device: Device): Promise<Check> {
  const tests = await selfTest(device);
  const wrong = tests.filter((test) => !test.ok).map((test) => test.op);
  return {
    name: "Arithmetic",
    ok: wrong.length === 0,
    detail: tests
      .map(({ op, error, ok }) => `${op} ${ok ? "right" : "WRONG"} (error ${error.toExponential(0)})`)
      .join(", "),
    advice:
      wrong.length > 0
        ? `This driver computes ${wrong.join(", ")} wrongly: update it, or try --device cpu.`
        : undefined,
    data: tests,
  };
}

async function checkCaption(device: Device): Promise<Check> {
  const clock = stopwatch();
  const model = await ClipCap.load(device, await modelFolder(DEFAULT_MODEL), { signal: stopSignal });
  const load = clock();
  await model.caption([beach()], { signal: stopSignal });
  const first = clock();
  const [captions] = await model.caption([beach()], { signal: stopSignal });
  const again = clock();
  const { peak } = device.memory();
  const { text } = captions![0]!;
  return {
    name: "Model",
    ok: text !== "",
    detail:
      `${DEFAULT_MODEL} loads in ${load} ms, captions in ${again} ms (the first time ${first} ms), takes ` +
      `${mebibytes(peak)} of device memory`,
    advice: text === "" ? "The model gives an empty caption: install the package again." : undefined,
    data: { model: DEFAULT_MODEL, load, first, again, peak, caption: text },
  };
}

/** Sky above sand. */
function beach(): RgbImage {
  const [width, height] = [160, 120];
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) data.set(i < data.length / 6 ? [120, 170, 230] : [210, 190, 140], i * 3);
  return { width, height, data };
}

/** Milliseconds since the last call. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const before = last;
    last = performance.now();
    return Math.round(last - before);
  };
}
