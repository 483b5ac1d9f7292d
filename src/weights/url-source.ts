import { ClipCapError } from "../runtime/errors.js";
import { type ByteSource, checkRange, memorySource } from "./source.js";

/** Without HTTP ranges the whole file has to be held in memory: 1 GiB is what a browser tab can be asked for. */
const MAX_WHOLE_BYTES = 2 ** 30;

export interface UrlOptions {
  readonly fetch?: typeof fetch;
  readonly signal?: AbortSignal;
}

/**
 * Opens a file on a web server. Where the server answers Range requests, only the bytes asked for are transferred;
 * where it ignores them, the whole file is taken once (at most 1 GiB).
 * @throws ClipCapError `not-found` for 404 and 410, `network` for everything else that goes wrong, `aborted` through
 * the signal.
 */
export async function urlSource(url: string, options: UrlOptions = {}): Promise<ByteSource> {
  const first = await get(url, { Range: "bytes=0-0" }, options);
  if (first.status === 200) return memorySource(url, await wholeBody(url, first, options));
  // Taking the one byte keeps the connection for the next request; cancelling closes it.
  if (first.headers.get("content-length") === "1") await body(url, first, options);
  else await discard(first);
  if (first.status === 416) return memorySource(url, new Uint8Array(0)); // an empty file has no byte 0
  const size = totalSize(first) ?? (await sizeByHead(url, options));
  const version = first.headers.get("etag");
  return {
    name: url,
    size,
    async read(offset, length) {
      checkRange({ name: url, size }, offset, length);
      if (length === 0) return new Uint8Array(0);
      const response = await get(url, { Range: `bytes=${offset}-${offset + length - 1}` }, options);
      const bytes = response.status === 206 ? await body(url, response, options) : undefined;
      if (bytes === undefined) await discard(response);
      const start = `bytes ${offset}-`; // a server across origins may hide what it sent
      const sent = response.headers.get("content-range") ?? start;
      if (bytes?.length !== length || response.headers.get("etag") !== version || !sent.startsWith(start)) {
        throw new ClipCapError(
          "network",
          `${url} changed or was cut short while it was read, or the server sent other bytes; load it again.`,
        );
      }
      return bytes;
    },
  };
}

async function get(url: string, headers: Record<string, string>, options: UrlOptions, method = "GET") {
  const { fetch: send = fetch, signal } = options;
  let response: Response;
  try {
    response = await send(url, { method, headers, signal });
  } catch (cause) {
    throw requestError(url, cause, options);
  }
  if (response.ok || response.status === 416) return response;
  await discard(response);
  const missing = response.status === 404 || response.status === 410;
  throw new ClipCapError(
    missing ? "not-found" : "network",
    `${url}: the server answered ${response.status}${response.statusText ? ` (${response.statusText})` : ""}.`,
  );
}

function requestError(url: string, cause: unknown, options: UrlOptions): ClipCapError {
  if (options.signal?.aborted) return new ClipCapError("aborted", `Reading ${url} was cancelled.`, { cause });
  if (!URL.canParse(url, globalThis.location?.href)) {
    const what = "is no address; in Node, modelFolder(path) opens a folder of this computer";
    return new ClipCapError("bad-usage", `${url} ${what}.`, { cause });
  }
  return new ClipCapError("network", `${url} could not be reached; check the address and the connection.`, { cause });
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}

async function body(url: string, response: Response, options: UrlOptions): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw requestError(url, cause, options);
  }
}

async function wholeBody(url: string, response: Response, options: UrlOptions): Promise<Uint8Array> {
  const announced = Number(response.headers.get("content-length") ?? 0);
  const tooLarge = () =>
    new ClipCapError(
      "network",
      `${url}: the server does not serve byte ranges and the file is larger than ${MAX_WHOLE_BYTES} bytes; use a server that supports Range requests.`,
    );
  if (announced > MAX_WHOLE_BYTES) {
    await discard(response);
    throw tooLarge();
  }
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let total = 0;
  try {
    for (const reader = response.body!.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      if ((total += value.length) > MAX_WHOLE_BYTES) {
        await reader.cancel();
        throw tooLarge();
      }
      parts.push(value);
    }
  } catch (cause) {
    throw cause instanceof ClipCapError ? cause : requestError(url, cause, options);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** The total of `Content-Range: bytes 0-0/1234`; undefined where a cross-origin server does not expose it. */
function totalSize(response: Response): number | undefined {
  const match = /^bytes \d+-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  return match ? Number(match[1]) : undefined;
}

async function sizeByHead(url: string, options: UrlOptions): Promise<number> {
  const response = await get(url, {}, options, "HEAD");
  const length = response.headers.get("content-length");
  if (length === null) {
    throw new ClipCapError("network", `${url}: the server does not tell the size of the file.`);
  }
  return Number(length);
}
