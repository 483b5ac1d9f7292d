/** Runs TypeScript in a real Chromium: bundles an entry, serves it on 127.0.0.1 with the small model, calls its `run`. */
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, normalize, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { build } from "vite";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What the server gives out besides the page: URL paths below /files/ are paths below the repository's root. */
const SERVED_FOLDERS = [join("weights", "flickr8k-small"), join("test", "goldens")];

/**
 * Only `--enable-unsafe-webgpu` makes headless Chromium on Linux without a GPU give an adapter (SwiftShader); the others
 * keep it from calling home. `--no-sandbox` because CI runs as root.
 */
export const CHROMIUM_FLAGS: readonly string[] = [
  "--enable-unsafe-webgpu",
  "--headless=new",
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface Chromium {
  /**
   * Bundles `entry` (a file below test/browser), loads it in a fresh page and returns what its exported function
   * `run(args)` resolves to; both must be plain JSON values. In the page, `/files/weights/flickr8k-small/...` is the
   * small model. Throws with everything the page reported if `run` rejects, the page logs an error, or a request fails.
   */
  runInPage<Args, Result>(entry: string, args: Args): Promise<Result>;
  /**
   * Opens a file from disk, as a double click does. `complaints` grows by whatever goes wrong in the page, and by every
   * request but those for the file and data in it.
   */
  openFile(path: string, scheme?: "light" | "dark"): Promise<{ page: Page; complaints: readonly string[] }>;
  close(): Promise<void>;
}

/** The path of Chromium. Throws when there is none: CLIPCAP_CHROMIUM names another. */
export function chromiumPath(): string {
  const path = process.env.CLIPCAP_CHROMIUM ?? "/usr/bin/chromium";
  if (existsSync(path)) return path;
  throw new Error(
    `This needs Chromium, and there is none at ${path}: ` +
      "run `sudo apt install chromium`, or set CLIPCAP_CHROMIUM to the path of a Chromium or Chrome.",
  );
}

/** Starts Chromium with an empty profile. */
export async function openChromium(): Promise<Chromium> {
  const executablePath = chromiumPath();
  const profile = mkdtempSync(join(tmpdir(), "clipcap-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: [...CHROMIUM_FLAGS],
    chromiumSandbox: false,
  });
  return {
    runInPage: (entry, args) => runInPage(context, entry, args),
    openFile: (path, scheme) => openFile(context, path, scheme),
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function runInPage<Args, Result>(context: BrowserContext, entry: string, args: Args): Promise<Result> {
  const script = await bundle(join(ROOT, "test", "browser", entry));
  const server = createServer((request, response) => serve(script, request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const page = await context.newPage();
  const complaints = watch(page);
  try {
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    // As text, because a test runner rewrites an `import()` that it sees.
    const call = `import("/page.js").then((module) => module.run(${JSON.stringify(args)}))`;
    const result = await page.evaluate(call).catch((error: Error) => complaints.push(`run: ${error.message}`));
    if (complaints.length > 0) throw new Error(`${entry} failed in Chromium:\n  ${complaints.join("\n  ")}`);
    return result as Result;
  } finally {
    await page.close();
    server.closeAllConnections();
    server.close();
  }
}

async function openFile(context: BrowserContext, path: string, scheme: "light" | "dark" = "light") {
  const page = await context.newPage();
  await page.emulateMedia({ colorScheme: scheme });
  const complaints = watch(page);
  const { href } = pathToFileURL(path);
  page.on("request", (request) => {
    if (request.url() !== href && !request.url().startsWith("data:")) complaints.push(`request: ${request.url()}`);
  });
  await page.goto(href);
  return { page, complaints };
}

/** What goes wrong in a page, from now on. */
function watch(page: Page): string[] {
  const complaints: string[] = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("crash", () => complaints.push("the page crashed"));
  page.on("requestfailed", (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on("response", (reply) => reply.status() >= 400 && complaints.push(`${reply.url()}: status ${reply.status()}`));
  return complaints;
}

/** The entry and all it imports as one ES module, unminified so that errors can be read. */
async function bundle(entry: string): Promise<string> {
  const result = await build({
    root: ROOT,
    configFile: false,
    logLevel: "warn",
    build: {
      write: false,
      minify: false,
      target: "esnext",
      lib: { entry, formats: ["es"] },
      rolldownOptions: { output: { codeSplitting: false } },
    },
  });
  const chunk = Array.isArray(result) ? result[0]?.output[0] : undefined;
  if (chunk === undefined) throw new Error(`vite made no bundle of ${entry}`);
  return chunk.code;
}

function serve(script: string, request: IncomingMessage, response: ServerResponse): void {
  const path = decodeURIComponent(new URL(request.url ?? "/", "http://127.0.0.1").pathname);
  const reply = (type: string, body: string) => response.writeHead(200, { "content-type": type }).end(body);
  if (path === "/")
    return void reply("text/html", '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">');
  if (path === "/page.js") return void reply("text/javascript", script);
  const file = normalize(path.replace(/^\/files\//, ""));
  const served = path.startsWith("/files/") && SERVED_FOLDERS.some((folder) => file.startsWith(folder + sep));
  const size = served ? (statSync(join(ROOT, file), { throwIfNoEntry: false })?.size ?? -1) : -1;
  if (size < 0) return void response.writeHead(404).end();
  sendFile(join(ROOT, file), size, request.headers.range, response);
}

/** Whole files, and `bytes=from-to` ranges, with which weights are read. */
function sendFile(file: string, size: number, range: string | undefined, response: ServerResponse): void {
  const asked = /^bytes=(\d+)-(\d*)$/.exec(range ?? "");
  const start = Number(asked?.[1] ?? 0);
  const end = Math.min(asked?.[2] ? Number(asked[2]) : size - 1, size - 1);
  const headers = {
    "content-length": end - start + 1,
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
  };
  response.writeHead(
    asked ? 206 : 200,
    asked ? { ...headers, "content-range": `bytes ${start}-${end}/${size}` } : headers,
  );
  createReadStream(join(file), { start, end }).pipe(response);
}
