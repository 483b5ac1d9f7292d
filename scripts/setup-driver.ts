/**
 * Makes sure that Node finds a WebGPU adapter. `npm test` and `npm run demo` run it first.
 *
 * An adapter is there: prints its name and type, changes nothing. None, on Linux: installs a software Vulkan driver, and
 * says what it does before it does it. On macOS and Windows the driver comes with the system: it does nothing.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { brotliDecompressSync, gunzipSync } from "node:zlib";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const HELP = `Usage: npx tsx scripts/setup-driver.ts [--check | --swiftshader]

Looks for a WebGPU adapter and, on a Linux machine without one, installs a software Vulkan driver:
Mesa's lavapipe through apt where there are rights, else the SwiftShader that an npm package carries.

  --check        only report: exit code 0 with an adapter, 1 without
  --swiftshader  install SwiftShader beside the npm package webgpu even if there is an adapter or apt
  --help         this text`;

/** Dawn refuses the lavapipe of Mesa 22.3 (Debian 12); 24 and newer were seen to work. */
const OLDEST_MESA = 24;
const MESA_PACKAGES = ["libvulkan1", "mesa-vulkan-drivers"];

/** The newest version whose `engines` still admits Node 20; a 68 MB download of which 6 MB are kept. */
const SWIFTSHADER_PACKAGE = "@sparticuz/chromium@147.0.0";
const SWIFTSHADER_MEMBER = "package/bin/swiftshader.tar.br";
const SWIFTSHADER_LIBRARY = "libvk_swiftshader.so";
const SWIFTSHADER_SHA256 = "5b9e8591c7c2d1c9618c3ad485d0cdffb81f5f1ffd6a982fdb6578c2d8d3213e";

export interface Adapter {
  readonly name: string;
  readonly type: "GPU" | "CPU";
}

/** Why one way of getting a driver failed, as a clause that follows "because". */
export class SetupFailure extends Error {}

/**
 * The object that `create` returns is kept on globalThis: Node crashes when it is collected while in use.
 * `process.exit` because Dawn may keep the process from ending by itself.
 */
const PROBE = `
const { create } = await import("webgpu");
globalThis.gpu = create([]);
const info = (await globalThis.gpu.requestAdapter())?.info;
const name = info && (info.description || info.device || info.vendor || "unnamed");
console.log(JSON.stringify(info ? { name, type: info.isFallbackAdapter ? "CPU" : "GPU" } : null));
process.exit(0);`;

/**
 * Asks for an adapter in a child process, which a broken driver may crash or hang without harm here.
 * Returns null when there is none.
 * @throws SetupFailure when the package `webgpu` itself is missing.
 */
export function findAdapter(program = PROBE, timeoutMs = 60_000): Adapter | null {
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    cwd: ROOT,
    encoding: "utf8",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  if (child.stderr.includes("ERR_MODULE_NOT_FOUND")) {
    throw new SetupFailure("the npm package webgpu is not installed; run `npm ci` first");
  }
  const lastLine = child.stdout.trim().split("\n").at(-1) ?? "";
  try {
    return JSON.parse(lastLine) as Adapter | null;
  } catch {
    return null; // a crash or a hang before the answer
  }
}

/** Major version of the candidate in the output of `apt-cache policy PACKAGE`, 0 when apt has none. */
export function candidateMajor(policy: string): number {
  return Number(/^ *Candidate: (?:\d+:)?(\d+)\./m.exec(policy)?.[1] ?? 0);
}

/**
 * The one-line source of `suite`-backports from the mirror that these apt sources (contents of *.list and *.sources
 * files) already use for `suite`; null when backports are enabled already.
 * @throws SetupFailure without such a mirror.
 */
export function backportsSource(sources: readonly string[], suite: string): string | null {
  const entries = sources.flatMap((text) => [...oneLineEntries(text), ...deb822Entries(text)]);
  if (entries.some((entry) => entry.suites.includes(`${suite}-backports`))) return null;
  const base = entries.find((entry) => entry.suites.includes(suite));
  if (base === undefined) throw new SetupFailure(`apt's sources name no mirror for ${suite}`);
  return `deb ${base.options === "" ? "" : `[${base.options}] `}${base.uri} ${suite}-backports main\n`;
}

interface AptEntry {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly options: string;
}

/** `deb [options] uri suite components`, see sources.list(5). */
function oneLineEntries(text: string): AptEntry[] {
  return [...text.matchAll(/^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/gm)].map((match) => ({
    options: match[1]?.trim() ?? "",
    uri: match[2]!,
    suites: [match[3]!],
  }));
}

/** Stanzas of `Field: value`, see sources.list(5). A key written into the file instead of a path is left to apt. */
function deb822Entries(text: string): AptEntry[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, "mi").exec(stanza)?.[1]?.trim() ?? "";
    const uri = field("URIs").split(/\s+/)[0]!;
    const isBinary = field("Types").split(/\s+/).includes("deb");
    if (uri === "" || !isBinary || field("Enabled").toLowerCase() === "no") return [];
    const key = field("Signed-By");
    return [{ uri, suites: field("Suites").split(/\s+/), options: key.startsWith("/") ? `signed-by=${key}` : "" }];
  });
}

/**
 * Installs lavapipe through apt.
 * @throws SetupFailure when there is no apt, no right to use it, or nothing new enough.
 */
function installMesa(): void {
  if (spawnSync("apt-get", ["--version"]).error) throw new SetupFailure("this machine has no apt");
  const asRoot = rootPrefix();
  const apt = (...args: string[]) =>
    run([
      ...asRoot,
      "env",
      "DEBIAN_FRONTEND=noninteractive",
      "apt-get",
      "-qq",
      "-o",
      "DPkg::Lock::Timeout=120",
      ...args,
    ]);

  say(`Installing Mesa's software Vulkan driver (${MESA_PACKAGES.join(", ")}) through apt; this can take a minute.`);
  apt("update");
  const release: string[] = [];
  const offered = candidateMajor(run(["apt-cache", "policy", "mesa-vulkan-drivers"]));
  if (offered < OLDEST_MESA) {
    if (osRelease("VERSION_CODENAME") !== "bookworm") {
      throw new SetupFailure(`apt offers Mesa ${offered || "in no version"}, and ${OLDEST_MESA} or newer is needed`);
    }
    enableBackports(asRoot);
    apt("update");
    release.push("-t", "bookworm-backports");
  }
  apt("install", "-y", "--no-install-recommends", ...release, ...MESA_PACKAGES);
}

/** Debian 12 has Mesa 22.3, its backports 25.0. */
function enableBackports(asRoot: readonly string[]): void {
  const folder = "/etc/apt/sources.list.d";
  const files = readdirSync(folder).map((name) => join(folder, name));
  const sources = ["/etc/apt/sources.list", ...files].filter(
    (path) => /\.(list|sources)$/.test(path) && existsSync(path),
  );
  const line = backportsSource(
    sources.map((path) => readFileSync(path, "utf8")),
    "bookworm",
  );
  if (line === null) return;
  const target = join(folder, "bookworm-backports.list");
  say(`Debian 12's own Mesa is too old: adding its backports to apt's sources (${target}).`);
  run([...asRoot, "tee", target], line);
}

/** What to write before a command that needs root: nothing, or sudo where it asks for no password. */
function rootPrefix(): string[] {
  if (process.geteuid?.() === 0) return [];
  if (spawnSync("sudo", ["-n", "true"]).status === 0) return ["sudo", "-n"];
  throw new SetupFailure("apt needs root, and there is no sudo that works without a password");
}

function osRelease(key: string): string {
  const text = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  return new RegExp(`^${key}="?([^"\\n]*)`, "m").exec(text)?.[1] ?? "";
}

/**
 * Puts SwiftShader beside dawn.node under the name of the Vulkan loader, which Dawn looks for there first: no loader, no
 * driver list and no rights are needed.
 * @throws SetupFailure where SwiftShader cannot be had or placed.
 */
function installSwiftShader(): void {
  const platform = `${process.platform}-${process.arch}`;
  if (platform !== "linux-x64") throw new SetupFailure(`SwiftShader comes for linux-x64, and this is ${platform}`);
  const cached = join(ROOT, ".cache", "swiftshader", SWIFTSHADER_LIBRARY);
  if (!existsSync(cached) || sha256(readFileSync(cached)) !== SWIFTSHADER_SHA256) downloadSwiftShader(cached);
  const loader = swiftShaderLoader();
  say(`Placing SwiftShader, a software Vulkan driver (correct, but 20 times slower than lavapipe), as ${loader}.`);
  // Renamed into place: a process that has the old file mapped must not see it change.
  copyFileSync(cached, `${loader}.new`);
  renameSync(`${loader}.new`, loader);
}

/** Where Dawn looks for the Vulkan loader before it asks the system. */
function swiftShaderLoader(): string {
  const webgpu = createRequire(import.meta.url).resolve("webgpu");
  return join(dirname(webgpu), "dist", `${process.platform}-${process.arch}`, "libvulkan.so.1");
}

function downloadSwiftShader(target: string): void {
  const folder = dirname(target);
  const download = join(folder, "download");
  say(`Fetching SwiftShader from the npm package ${SWIFTSHADER_PACKAGE} (68 MB) into ${folder}.`);
  mkdirSync(download, { recursive: true });
  try {
    run([
      "npm",
      "pack",
      "--loglevel=error",
      "--no-update-notifier",
      "--pack-destination",
      download,
      SWIFTSHADER_PACKAGE,
    ]);
    const archive = gunzipSync(readFileSync(join(download, readdirSync(download)[0]!)));
    const library = tarMember(brotliDecompressSync(tarMember(archive, SWIFTSHADER_MEMBER)), SWIFTSHADER_LIBRARY);
    if (sha256(library) !== SWIFTSHADER_SHA256) {
      throw new SetupFailure(`${SWIFTSHADER_LIBRARY} from ${SWIFTSHADER_PACKAGE} has an unexpected checksum`);
    }
    writeFileSync(`${target}.new`, library);
    renameSync(`${target}.new`, target);
  } finally {
    rmSync(download, { recursive: true, force: true });
  }
}

/**
 * The bytes of one file in a ustar archive (POSIX pax(1), "ustar Interchange Format").
 * @throws SetupFailure if absent.
 */
export function tarMember(archive: Buffer, name: string): Buffer {
  const BLOCK = 512;
  for (let header = 0; header + BLOCK <= archive.length; ) {
    const text = (from: number, length: number) =>
      archive.toString("latin1", header + from, header + from + length).split("\0", 1)[0]!;
    const size = Number.parseInt(text(124, 12), 8) || 0;
    const start = header + BLOCK;
    if (text(0, 100) === name && start + size <= archive.length) return archive.subarray(start, start + size);
    header = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw new SetupFailure(`the archive has no whole file ${name}`);
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/**
 * Runs a command to its end and returns its output.
 * @throws SetupFailure with npm's error code or the last complaint.
 */
function run(command: readonly string[], input = ""): string {
  const child = spawnSync(command[0]!, command.slice(1), { cwd: ROOT, encoding: "utf8", input, maxBuffer: 64 << 20 });
  if (child.status === 0) return child.stdout;
  const lines = (child.stderr ?? "").trim().split("\n");
  const complaint = child.error?.message ?? (lines.find((line) => line.startsWith("npm error code")) || lines.at(-1));
  throw new SetupFailure(`\`${command.join(" ")}\` failed: ${complaint}`);
}

function say(sentence: string): void {
  process.stderr.write(`${sentence}\n`);
}

function report(adapter: Adapter): void {
  const shadow = adapter.name.includes("SwiftShader") && existsSync(swiftShaderLoader());
  const note = shadow ? ` (from ${swiftShaderLoader()}; delete that file to use a driver installed later)` : "";
  process.stdout.write(`WebGPU adapter: ${adapter.name}, ${adapter.type}${note}\n`);
}

/** Tries one way; the adapter it led to, or null after saying why it failed. */
function attempt(install: () => void): Adapter | null {
  try {
    install();
    const adapter = findAdapter();
    if (adapter === null) say("That driver is in place, but Dawn finds no adapter through it.");
    return adapter;
  } catch (error) {
    say(`That way is closed: ${error instanceof Error ? error.message : error}.`);
    return null;
  }
}

/** Exit code: 0 with an adapter, 1 without, 2 for wrong usage. */
function main(args: readonly string[]): number {
  const unknown = args.find((arg) => !["--check", "--swiftshader", "--help"].includes(arg));
  if (unknown !== undefined) {
    say(`Unknown option ${unknown}.\n\n${HELP}`);
    return 2;
  }
  if (args.includes("--help")) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const onlyCheck = args.includes("--check");
  if (process.platform !== "linux" && !onlyCheck) return 0;

  const force = args.includes("--swiftshader");
  let adapter = force && !onlyCheck ? null : findAdapter();
  if (adapter === null && !onlyCheck) {
    if (!force) say("No WebGPU adapter on this machine.");
    adapter = (force ? null : attempt(installMesa)) ?? attempt(installSwiftShader);
  }
  if (adapter !== null) {
    report(adapter);
    return 0;
  }
  say(
    "There is no WebGPU adapter. Install a Vulkan driver (on Debian or Ubuntu, Mesa 24 or newer: " +
      "`sudo apt-get install libvulkan1 mesa-vulkan-drivers`), then run `npx tsx scripts/setup-driver.ts --check`.",
  );
  return 1;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    say(error instanceof SetupFailure ? `Cannot look for an adapter: ${error.message}.` : String(error));
    process.exitCode = 1;
  }
}
