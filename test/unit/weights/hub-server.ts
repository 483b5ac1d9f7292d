import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HubFile {
  content: Buffer;
  lfs: boolean;
  /** Served instead of content, while the checksum stays that of content. */
  corrupted?: Buffer;
  /** Bytes to send before the connection is cut, one number per request; then whole. */
  breakAfter?: number[];
  /** Ignores Range headers. */
  noRanges?: boolean;
  /** Statuses to answer first, one per request. */
  statuses?: number[];
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** A local server with small files in the hub's URL layout; `requests` records "METHOD path range". */
export class HubServer {
  readonly requests: string[] = [];
  readonly files = new Map<string, HubFile>();
  /** Fields of the answer for a file, to be spoiled. */
  spoil: Record<string, unknown> = {};
  sha: unknown = COMMIT;
  #server = createServer((request, response) => this.#answer(request, response));

  constructor(readonly repo: string) {}

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  add(path: string, content: string | Buffer, lfs = false): HubFile {
    const file: HubFile = { content: Buffer.from(content as string), lfs };
    this.files.set(path, file);
    return file;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = decodeURIComponent(new URL(request.url!, "http://x").pathname);
    this.requests.push(`${request.method} ${url} ${request.headers.range ?? ""}`.trim());
    const api = `/api/models/${this.repo}`;
    const file = this.files.get(url.replace(`/${this.repo}/resolve/${COMMIT}/`, ""));
    if (url.startsWith(`${api}/revision/`) && !url.endsWith("/none")) {
      this.#json(response, { id: this.repo, sha: this.sha });
    } else if (url.startsWith(`${api}/paths-info/`)) this.#pathsInfo(request, response);
    else if (file) this.#send(file, request, response);
    else response.writeHead(404, { "X-Error-Code": "EntryNotFound" }).end();
  }

  #json(response: ServerResponse, value: unknown): void {
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
  }

  #pathsInfo(request: IncomingMessage, response: ServerResponse): void {
    let body = "";
    request.on("data", (piece) => {
      body += piece;
    });
    request.on("end", () => {
      const paths = (JSON.parse(body) as { paths: string[] }).paths.filter((path) => this.files.has(path));
      this.#json(
        response,
        paths.map((path) => ({ ...this.#info(path, this.files.get(path)!), ...this.spoil })),
      );
    });
  }

  #info(path: string, { content, lfs }: HubFile) {
    const oid = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
    const sha256 = createHash("sha256").update(content).digest("hex");
    const size = content.length;
    return { type: "file", path, size, oid, ...(lfs ? { lfs: { oid: sha256, size, pointerSize: 130 } } : {}) };
  }

  #send(file: HubFile, request: IncomingMessage, response: ServerResponse): void {
    const status = file.statuses?.shift();
    if (status) {
      response.writeHead(status).end();
      return;
    }
    const body = file.corrupted ?? file.content;
    const start = file.noRanges ? 0 : Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const headers: Record<string, string> = { "Content-Length": String(body.length - start) };
    if (request.headers.range && !file.noRanges)
      headers["Content-Range"] = `bytes ${start}-${body.length - 1}/${body.length}`;
    response.writeHead("Content-Range" in headers ? 206 : 200, headers);
    const cut = file.breakAfter?.shift();
    if (cut === undefined) response.end(body.subarray(start));
    else response.write(body.subarray(start, start + cut), () => setTimeout(() => response.destroy(), 20));
  }
}
