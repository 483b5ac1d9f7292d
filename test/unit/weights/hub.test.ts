import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FetchOptions, fetchModel } from "../../../src/weights/hub.js";
import { hubModels } from "../../../src/weights/hub-manifest.js";
import { COMMIT, HubServer } from "./hub-server.js";

const REPO = "openai-community/gpt2";
let server: HubServer;
let endpoint: string;
let cacheDir: string;
const weights = Buffer.from(Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7919) >>> 8));

beforeEach(async () => {
  cacheDir = mkdtempSync(join(tmpdir(), "clipcap-hub-"));
  server = new HubServer(REPO);
  server.add("config.json", '{"model_type":"gpt2"}');
  server.add("tokenizer.json", "{}");
  server.add("model.safetensors", weights, true);
  server.add("pytorch_model.bin", "old", true);
  endpoint = await server.start();
});
afterEach(async () => {
  await server.stop();
  rmSync(cacheDir, { recursive: true, force: true });
});

const fetchGpt2 = (options: FetchOptions = {}) => fetchModel("gpt2", { cacheDir, endpoint, retryMs: 1, ...options });
const root = () => join(cacheDir, "models--openai-community--gpt2");
const blob = () => join(root(), "blobs", createHash("sha256").update(weights).digest("hex"));
const downloads = () => server.requests.filter((line) => line.includes("/resolve/"));
const weightFile = () => server.files.get("model.safetensors")!;

describe("fetch", () => {
  it("fills the cache as Python's library lays it out, and needs no second transfer", async () => {
    const progress: string[] = [];
    const model = await fetchGpt2({ onProgress: (file, done, total) => progress.push(`${file} ${done}/${total}`) });
    expect(model).toMatchObject({ commit: COMMIT, folder: join(root(), "snapshots", COMMIT), offline: false });
    expect(model.files).toEqual([
      { file: "config.json", bytes: 21, cached: false },
      { file: "tokenizer.json", bytes: 2, cached: false },
      { file: "model.safetensors", bytes: weights.length, cached: false },
    ]);
    expect(readFileSync(join(model.folder, "model.safetensors")).equals(weights)).toBe(true);
    expect(lstatSync(join(model.folder, "model.safetensors")).isSymbolicLink()).toBe(true);
    expect(readFileSync(blob()).equals(weights)).toBe(true);
    expect(readFileSync(join(root(), "refs", "main"), "utf8")).toBe(COMMIT);
    expect(readdirSync(join(root(), "blobs")).some((name) => name.endsWith(".incomplete"))).toBe(false);
    expect(progress.at(-1)).toBe(`model.safetensors ${weights.length}/${weights.length}`);
    const transfers = downloads().length;
    expect((await fetchGpt2()).files.every((file) => file.cached)).toBe(true);
    expect(downloads()).toHaveLength(transfers);
  });

  it("uses blobs that are there already", async () => {
    mkdirSync(join(root(), "blobs"), { recursive: true });
    writeFileSync(blob(), weights);
    const model = await fetchGpt2();
    expect(model.files.map((file) => file.cached)).toEqual([false, false, true]);
    expect(downloads().some((line) => line.includes("model.safetensors"))).toBe(false);
  });

  it("replaces a link that leads nowhere or to another blob, without writing through it", async () => {
    const folder = join(root(), "snapshots", COMMIT);
    mkdirSync(folder, { recursive: true });
    mkdirSync(join(root(), "blobs"));
    writeFileSync(join(root(), "blobs", "other"), "other");
    symlinkSync("../../blobs/gone", join(folder, "model.safetensors"));
    symlinkSync("../../blobs/other", join(folder, "config.json"));
    await fetchGpt2();
    expect(readFileSync(join(folder, "model.safetensors")).equals(weights)).toBe(true);
    expect(readFileSync(join(folder, "config.json"), "utf8")).toBe('{"model_type":"gpt2"}');
    expect(readFileSync(join(root(), "blobs", "other"), "utf8")).toBe("other");
  });

  it("takes pytorch_model.bin where there are no safetensors, and another revision when told", async () => {
    server.files.delete("model.safetensors");
    const model = await fetchGpt2({ revision: "refs/pr/15" });
    expect(model.files.at(-1)!.file).toBe("pytorch_model.bin");
    expect(readFileSync(join(root(), "refs", "refs", "pr", "15"), "utf8")).toBe(COMMIT);
    expect(server.requests[0]).toContain("/revision/refs/pr/15");
  });
});

describe("broken connections", () => {
  it("goes on where each connection broke", async () => {
    weightFile().breakAfter = [30_000, 0, 20_000];
    const model = await fetchGpt2();
    expect(readFileSync(join(model.folder, "model.safetensors")).equals(weights)).toBe(true);
    const ranges = downloads()
      .filter((line) => line.includes("model.safetensors"))
      .map((line) => line.split(" ")[2] ?? "");
    expect(ranges).toEqual(["", "bytes=30000-", "bytes=30000-", "bytes=50000-"]);
  });

  it("gives up after five fruitless attempts, keeps what came, and the next call goes on", async () => {
    weightFile().breakAfter = [40_000, 0, 0, 0, 0, 0];
    await expect(fetchGpt2()).rejects.toMatchObject({
      code: "network",
      message: expect.stringMatching(
        /the connection broke at 40000 of 100000 bytes; fetch it again to go on from there/,
      ),
    });
    expect(readFileSync(`${blob()}.incomplete`)).toHaveLength(40_000);
    expect(existsSync(blob())).toBe(false);
    await fetchGpt2();
    expect(downloads().at(-1)).toContain("bytes=40000-");
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it("starts again where the server ignores ranges or the partial file is too long, and waits while it is busy", async () => {
    Object.assign(weightFile(), { breakAfter: [10_000], noRanges: true, statuses: [503, 429] });
    mkdirSync(join(root(), "blobs"), { recursive: true });
    writeFileSync(`${blob()}.incomplete`, Buffer.alloc(weights.length + 1));
    await fetchGpt2();
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it("stops at once when the signal fires, and goes on later", async () => {
    const abort = new AbortController();
    weightFile().breakAfter = [25_000];
    const onProgress = (file: string) => file === "model.safetensors" && abort.abort();
    await expect(fetchGpt2({ signal: abort.signal, onProgress, retryMs: 60_000 })).rejects.toMatchObject({
      code: "aborted",
    });
    await fetchGpt2();
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });
});

describe("wrong content is refused and removed", () => {
  const nothingLeft = () => {
    expect(existsSync(blob())).toBe(false);
    expect(existsSync(`${blob()}.incomplete`)).toBe(false);
    expect(existsSync(join(root(), "snapshots", COMMIT, "model.safetensors"))).toBe(false);
    expect(existsSync(join(root(), "refs"))).toBe(false);
  };

  it("a flipped byte", async () => {
    weightFile().corrupted = Buffer.from(weights.map((byte, i) => (i === 77_777 ? byte ^ 1 : byte)));
    await expect(fetchGpt2()).rejects.toThrow(
      /has the checksum \w{64} instead of \w{64}; the file was removed, fetch it again/,
    );
    nothingLeft();
  });

  it("a rotten beginning from an earlier call", async () => {
    mkdirSync(join(root(), "blobs"), { recursive: true });
    writeFileSync(`${blob()}.incomplete`, Buffer.alloc(500));
    await expect(fetchGpt2()).rejects.toThrow(/has the checksum/);
    nothingLeft();
    await fetchGpt2();
  });

  it("a longer file", async () => {
    weightFile().corrupted = Buffer.concat([weights, Buffer.from("x")]);
    await expect(fetchGpt2()).rejects.toThrow(/is longer than the hub says/);
    nothingLeft();
  });

  it("a small file with another git hash", async () => {
    server.files.get("config.json")!.corrupted = Buffer.from('{"model_type":"gpt3"}');
    await expect(fetchGpt2()).rejects.toThrow(/config.json has the checksum \w{40} instead of/);
  });

  it.each<[string, () => void, RegExp]>([
    [
      "a checksum that is a path",
      () => Object.assign(server.spoil, { lfs: { oid: "../../x", size: 3 } }),
      /impossible checksum/,
    ],
    ["a negative size", () => Object.assign(server.spoil, { size: -1 }), /impossible size/],
    ["a commit that is a path", () => Object.assign(server, { sha: "../x" }), /impossible commit/],
  ])("%s", async (_, spoil, message) => {
    spoil();
    await expect(fetchGpt2()).rejects.toThrow(message);
  });
});

describe("what cannot be fetched", () => {
  it("names unknown models, repositories, revisions and files", async () => {
    await expect(fetchModel("gpt5", { cacheDir })).rejects.toThrow(
      /no model "gpt5" to fetch; choose one of clip-vit-base-patch32, .*distilgpt2/,
    );
    await expect(fetchModel("distilgpt2", { cacheDir, endpoint })).rejects.toMatchObject({ code: "not-found" });
    await expect(fetchGpt2({ revision: "none" })).rejects.toThrow(
      /has no openai-community\/gpt2 with revision none \(status 404\)/,
    );
    await expect(fetchGpt2({ revision: "../x" })).rejects.toThrow(/is no name of a branch/);
    server.files.delete("tokenizer.json");
    await expect(fetchGpt2()).rejects.toThrow(/has no tokenizer.json in revision main/);
  });

  it("a file that vanished between listing and download", async () => {
    weightFile().statuses = [404];
    await expect(fetchGpt2()).rejects.toMatchObject({ code: "not-found" });
  });

  it("uses a complete cache without a connection, and says so when it is not complete", async () => {
    await expect(fetchGpt2({ endpoint: "http://127.0.0.1:9" })).rejects.toThrow(
      /could not be reached; check the connection/,
    );
    await fetchGpt2();
    const model = await fetchGpt2({ endpoint: "http://127.0.0.1:9" });
    expect(model).toMatchObject({ offline: true, commit: COMMIT });
    expect(model.files.map((file) => file.file)).toEqual(["config.json", "tokenizer.json", "model.safetensors"]);
    const asked = server.requests.length;
    process.env.HF_HUB_OFFLINE = "1";
    try {
      expect((await fetchGpt2()).offline).toBe(true);
      rmSync(join(model.folder, "config.json"));
      await expect(fetchGpt2()).rejects.toThrow(/gpt2 is not complete in .*HF_HUB_OFFLINE forbids/);
    } finally {
      delete process.env.HF_HUB_OFFLINE;
    }
    expect(server.requests).toHaveLength(asked);
  });

  it("finds the shared cache by HF_HUB_CACHE and HF_HOME", async () => {
    for (const [key, folder] of [
      ["HF_HUB_CACHE", cacheDir],
      ["HF_HOME", join(cacheDir, "home")],
    ] as const) {
      process.env[key] = folder;
      try {
        const { folder: found } = await fetchModel("gpt2", { endpoint });
        expect(found.startsWith(join(folder, key === "HF_HOME" ? "hub" : "", "models--"))).toBe(true);
      } finally {
        delete process.env[key];
      }
    }
  });
});

it("the manifest names the models of the README with what each needs", async () => {
  const models = await hubModels();
  expect([...models.keys()]).toEqual([
    "clip-vit-base-patch32",
    "clip-vit-base-patch16",
    "clip-vit-large-patch14",
    "gpt2",
    "gpt2-medium",
    "gpt2-large",
    "gpt2-xl",
    "distilgpt2",
  ]);
  expect(models.get("clip-vit-base-patch32")).toMatchObject({
    repo: "openai/clip-vit-base-patch32",
    revision: "refs/pr/15",
  });
  for (const model of models.values()) {
    expect(model.files).toContain("tokenizer.json");
    expect(model.files.includes("preprocessor_config.json")).toBe(model.kind === "clip");
    expect(model.weights[0]).toBe("model.safetensors");
  }
});
