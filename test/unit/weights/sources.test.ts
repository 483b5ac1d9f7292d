import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ClipCapError } from "../../../src/runtime/errors.js";
import { filesFolder, mapFolder, openTensors, readText, subfolder, urlFolder } from "../../../src/weights/folder.js";
import { openClip, openGpt2 } from "../../../src/weights/model-files.js";
import { memorySource } from "../../../src/weights/source.js";
import { urlSource } from "../../../src/weights/url-source.js";
import { goldenPath } from "../../goldens.js";

const content = Buffer.from("0123456789abcdef");
const requests: string[] = [];
let version = '"1"';
let base: string;

/** /ranges supports them, /whole ignores them, /hidden keeps Content-Range to itself, /empty has no bytes. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url!;
  requests.push(`${request.method} ${path} ${request.headers.range ?? ""}`);
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  const model = /^\/model\/(config.json|model.safetensors)$/.exec(path)?.[1];
  if (model) send(response, readFileSync(goldenPath("tiny", "tiny-gpt2", model)), range, true);
  else if (path === "/ranges" || path === "/hidden") send(response, content, range, path === "/ranges", request.method);
  else if (path === "/whole") response.end(content);
  else if (path === "/empty") response.writeHead(416).end();
  else if (path === "/cut") response.writeHead(206, { "Content-Range": "bytes 0-0/16" }).end("0");
  else response.writeHead(path === "/broken" ? 500 : 404).end();
}

function send(response: ServerResponse, bytes: Buffer, range: RegExpExecArray | null, expose: boolean, method = "GET") {
  if (range) {
    const [first, last] = [Number(range[1]), Number(range[2])];
    const total = expose ? { "Content-Range": `bytes ${first}-${last}/${bytes.length}` } : {};
    response.writeHead(206, { ETag: version, ...total }).end(bytes.subarray(first, last + 1));
  } else response.writeHead(200, { "Content-Length": bytes.length }).end(method === "HEAD" ? undefined : bytes);
}

const server = createServer(answer);
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe("urlSource", () => {
  it.each(["ranges", "whole", "hidden"])("reads pieces of /%s", async (path) => {
    const source = await urlSource(`${base}/${path}`);
    expect(source.size).toBe(16);
    expect(text(await source.read(10, 3))).toBe("abc");
    expect(text(await source.read(16, 0))).toBe("");
    await expect(source.read(10, 7)).rejects.toThrow(/ends at byte 16, but bytes 10 to 17 were needed/);
  });

  it("transfers only what is asked for", async () => {
    requests.length = 0;
    await (await urlSource(`${base}/ranges`)).read(4, 2);
    expect(requests).toEqual(["GET /ranges bytes=0-0", "GET /ranges bytes=4-5"]);
  });

  it("knows empty files", async () => expect((await urlSource(`${base}/empty`)).size).toBe(0));

  it("refuses a file that changes or is cut short while it is read", async () => {
    const changing = await urlSource(`${base}/ranges`);
    version = '"2"';
    await expect(changing.read(0, 4)).rejects.toThrow(/changed or was cut short while it was read/);
    const cut = await urlSource(`${base}/cut`);
    await expect(cut.read(0, 4)).rejects.toThrow(/cut short/);
  });

  it("refuses bytes of another place, where the server says which it sent", async () => {
    const answer = async () => new Response("0123", { status: 206, headers: { "Content-Range": "bytes 0-3/16" } });
    const source = await urlSource("http://x/f", { fetch: answer });
    expect(text(await source.read(0, 4))).toBe("0123");
    await expect(source.read(4, 4)).rejects.toMatchObject({
      code: "network",
      message: expect.stringMatching(/or the server sent other bytes/),
    });
  });

  it("refuses to hold a large file of a server without ranges", async () => {
    let cancelled = false;
    const body = new ReadableStream({ cancel: () => void (cancelled = true) });
    const send = async () => new Response(body, { headers: { "Content-Length": String(2 ** 30 + 1) } });
    await expect(urlSource("http://x/big", { fetch: send })).rejects.toThrow(
      /does not serve byte ranges and the file is larger/,
    );
    expect(cancelled).toBe(true);
  });

  it.each([
    ["/none", "not-found", /server answered 404/],
    ["/broken", "network", /server answered 500/],
  ])("%s gives %s", async (path, code, message) => {
    await expect(urlSource(base + path)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it("tells no connection from a cancelled one", async () => {
    await expect(urlSource("http://127.0.0.1:9/")).rejects.toMatchObject({ code: "network" });
    await expect(urlSource("my-model/clipcap.json")).rejects.toThrow(/is no address; in Node, modelFolder/);
    await expect(urlSource(`${base}/ranges`, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "aborted",
    });
  });
});

describe("folders", () => {
  const clip = (file: string) => new Uint8Array(readFileSync(goldenPath("tiny", "tiny-clip", file)));

  it("opens a model from an address", async () => {
    const folder = urlFolder(`${base}/model/`);
    expect(await folder.has("model.safetensors")).toBe(true);
    expect(await folder.has("pytorch_model.bin")).toBe(false);
    const { weights } = await openGpt2(folder);
    expect((await weights.readF32("wpe.weight", { rows: [1, 2] })).length).toBe(64);
    await expect(urlFolder("http://127.0.0.1:9").has("x")).rejects.toBeInstanceOf(ClipCapError);
  });

  it.each([
    ["/", "/clip/config.json"],
    ["models/a//", "models/a/clip/config.json"],
    ["https://x/a/?token=a/b#part", "https://x/a/clip/config.json?token=a/b"],
    [new URL("https://x/a?token=1"), "https://x/a/clip/config.json?token=1"],
  ])("an address %s becomes %s", async (base, expected) => {
    const asked: unknown[] = [];
    const fetch = async (url: unknown) => {
      asked.push(url);
      return new Response("{}");
    };
    expect(await readText(subfolder(urlFolder(base, { fetch }), "clip"), "config.json")).toBe("{}");
    expect(asked).toEqual([expected]);
  });

  it("reads Blobs and Files of a Map", async () => {
    const files = new Map([
      ["a", new Blob(["one"])],
      ["b", new File(["two"], "b")],
    ]);
    const folder = mapFolder("mine", files);
    expect([await readText(folder, "a"), await readText(folder, "b")]).toEqual(["one", "two"]);
    expect((await folder.open("a")).name).toBe("mine/a");
  });

  it.each([new SharedArrayBuffer(2), new DataView(new ArrayBuffer(2)), "{}", null])(
    "says which file of a Map is none: %s",
    async (file) => {
      await expect(mapFolder("mine", new Map([["a", file as never]])).open("a")).rejects.toMatchObject({
        code: "bad-usage",
        message: "mine/a must be bytes, a Blob or a ByteSource",
      });
    },
  );

  it.each([
    ["mapFolder({})", () => mapFolder("mine", {} as never), "mine must be a Map of files by path"],
    ["filesFolder()", () => filesFolder(undefined as never), "the chosen files must be a list of Files"],
    ["filesFolder(null)", () => filesFolder(null as never), "the chosen files must be a list of Files"],
    ["filesFolder(texts)", () => filesFolder(["a"] as never), "the chosen files must be a list of Files"],
    ["urlFolder()", () => urlFolder(undefined as never), "the address of a model must be a text or a URL"],
    ["urlFolder('')", () => urlFolder(""), "the address of a model must be a text or a URL"],
  ])("refuses %s", (_, open, message) => {
    expect(open).toThrow(expect.objectContaining({ code: "bad-usage", message }));
  });

  it("opens a model from chosen files and from memory", async () => {
    const chosen = ["config.json", "model.safetensors"].map((name) => {
      const file = new File([clip(name)], name);
      Object.defineProperty(file, "webkitRelativePath", { value: `my-model/clip/${name}` });
      return file;
    });
    const folder = filesFolder(chosen);
    expect(folder.name).toBe("my-model");
    expect((await openClip(subfolder(folder, "clip"))).config.vision.width).toBe(64);
    expect(await filesFolder([new File(["{}"], "clipcap.json")]).has("clipcap.json")).toBe(true);

    const memory = mapFolder(
      "memory",
      new Map([
        ["config.json", clip("config.json")],
        ["model.safetensors", clip("model.safetensors")],
      ]),
    );
    const { weights } = await openClip(subfolder(memory, "."));
    expect([...weights.tensors.keys()].some((name) => name.includes("position_ids"))).toBe(false);
    await expect(readText(memory, "clipcap.json")).rejects.toThrow(
      /memory has no clipcap.json; is it the folder of a complete model/,
    );
  });

  it("refuses texts that are too long and checkpoints of old torch versions", async () => {
    const huge = { name: "t", size: 2 ** 40, read: () => Promise.reject(new Error("was read")) };
    await expect(readText(mapFolder("m", new Map([["t", huge]])), "t")).rejects.toThrow(/a text file here has at most/);
    const old = Buffer.concat([Buffer.from([0x80, 0x02, 0x8a, 0x0a]), Buffer.alloc(20)]);
    await expect(openTensors(memorySource("old.pt", old))).rejects.toThrow(/format before torch 1.6/);
  });
});
