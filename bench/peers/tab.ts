// The parent's side in browsers: a headless Chromium for each library, whose page is page.ts.
import { readFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type Browser, type CDPSession, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { watchLoad } from "../../src/bench/node-timing.js";
import type { Device } from "../../src/runtime/device.js";
import { CHROMIUM_FLAGS, chromiumPath } from "../../test/browser/chromium.js";
import type { Case } from "./cases.js";
import type { Loaded, Turn } from "./library.js";
import { type Contestant, MAX_SECONDS, type Peer, type Sample } from "./peer.js";

/** onnxruntime-web is served as it is published, since it looks for its WebAssembly beside itself. */
const ORT = "onnxruntime-web/webgpu";
const ORT_FOLDER = new URL("node_modules/onnxruntime-web/dist/", import.meta.url);
const IMPORT_MAP = JSON.stringify({ imports: { [ORT]: "/ort/ort.webgpu.bundle.min.mjs" } });
const HTML = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="importmap">${IMPORT_MAP}</script>`;

const SCRIPT_OR_WASM: Readonly<Record<string, string>> = { mjs: "text/javascript", wasm: "application/wasm" };

/** Without both, WebAssembly has no threads and the clock is coarse. */
const ISOLATED = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

export interface Site {
  /** A library of page.ts. */
  readonly inChromium: (name: string, library: string) => Contestant;
  readonly device: () => Promise<Pick<Device, "adapter" | "limits">>;
  readonly close: () => void;
}

/** Bundles the page and serves it on 127.0.0.1. */
export async function openSite(): Promise<Site> {
  const files = await bundle();
  const server = createServer(({ url }, response) => serve(files, url ?? "/", response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/`;
  return {
    inChromium: (name, library) => ({ name, open: () => Tab.open(url, library) }),
    device: async () => {
      const { browser, page } = await openPage(url);
      return ask<Pick<Device, "adapter" | "limits">>(page, "describeDevice").finally(() => browser.close());
    },
    close: () => close(server),
  };
}

function close(server: Server): void {
  server.closeAllConnections();
  server.close();
}

/** The page and the libraries that it imports when asked, by their file names. */
async function bundle(): Promise<ReadonlyMap<string, string>> {
  const result = await build({
    configFile: false,
    logLevel: "error", // libraries evaluate text, and say so
    define: { "process.env.NODE_ENV": '"production"' },
    build: {
      write: false,
      minify: false,
      target: "esnext",
      lib: { entry: fileURLToPath(new URL("page.ts", import.meta.url)), formats: ["es"], fileName: () => "page.js" },
      rolldownOptions: { external: [ORT] },
    },
  });
  const { output } = (Array.isArray(result) ? result[0]! : result) as { output: { fileName: string; code?: string }[] };
  return new Map(output.map(({ fileName, code }) => [`/${fileName}`, code ?? ""]));
}

function serve(files: ReadonlyMap<string, string>, url: string, response: ServerResponse): void {
  const reply = (type: string, body: string | Buffer) =>
    response.writeHead(200, { ...ISOLATED, "content-type": type }).end(body);
  const script = files.get(url);
  const published = /^\/ort\/([\w.-]+\.(mjs|wasm))$/.exec(url);
  if (url === "/") reply("text/html", HTML);
  else if (script !== undefined) reply("text/javascript", script);
  else if (published) reply(SCRIPT_OR_WASM[published[2]!]!, readFileSync(new URL(published[1]!, ORT_FOLDER)));
  else response.writeHead(404).end();
}

async function openPage(url: string): Promise<{ browser: Browser; page: Page }> {
  const args = [...CHROMIUM_FLAGS];
  const browser = await chromium.launch({ executablePath: chromiumPath(), args, chromiumSandbox: false });
  const page = await browser.newPage();
  await page.goto(url);
  return { browser, page };
}

/** What the page's function `name` gives; all values are plain JSON. @throws Error with the page's own message. */
async function ask<T>(page: Page, name: string, ...args: readonly unknown[]): Promise<T> {
  const call = `import("/page.js").then((page) => page.${name}(...${JSON.stringify(args)}))`;
  try {
    return (await page.evaluate(call)) as T;
  } catch (error) {
    throw new Error((error as Error).message.replace(/^page\.evaluate: (Error: )?/, ""));
  }
}

class Tab implements Peer {
  private constructor(
    readonly name: string,
    private readonly browser: Browser,
    private readonly page: Page,
    private readonly devtools: CDPSession,
  ) {}

  static async open(url: string, library: string): Promise<Tab> {
    const { browser, page } = await openPage(url);
    page.on("crash", () => browser.close());
    try {
      const name = await ask<string>(page, "open", library);
      return new Tab(name, browser, page, await browser.newBrowserCDPSession());
    } catch (error) {
      await browser.close();
      throw error;
    }
  }

  get ended(): boolean {
    return !this.browser.isConnected();
  }

  async prepare(c: Case): Promise<Loaded> {
    const { firstMs, values } = await this.ask<{ firstMs: number; values: number[] }>("prepare", c);
    return { firstMs, values: Float32Array.from(values) };
  }

  async sample(ms: number): Promise<Sample> {
    const [load, cpu] = [watchLoad(), await this.cpuMs()];
    const turn = await this.ask<Turn>("turn", ms);
    const used = (await this.cpuMs()) - cpu;
    return {
      wall: turn.ms / turn.calls,
      cpu: used / turn.calls,
      otherLoad: Math.max(0, load().otherCores - used / turn.ms),
    };
  }

  async close(): Promise<void> {
    await this.browser.close();
  }

  /** Processor time of all of this Chromium's processes; the adapter computes in one of them. */
  private async cpuMs(): Promise<number> {
    const { processInfo } = await this.devtools.send("SystemInfo.getProcessInfo");
    return 1000 * processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
  }

  private async ask<T>(name: string, arg: unknown): Promise<T> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.browser.close();
    }, 1000 * MAX_SECONDS);
    try {
      return await ask<T>(this.page, name, arg);
    } catch (error) {
      if (late) throw new Error(`no answer within ${MAX_SECONDS} s`);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }
}
