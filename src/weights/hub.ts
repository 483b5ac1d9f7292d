import { copyFile, mkdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { ClipCapError } from "../runtime/errors.js";
import { type Download, type DownloadOptions, download } from "./download.js";
import { type HubModel, hubModel } from "./hub-manifest.js";
import { fileError, writeAtomically } from "./node-source.js";

const COMMIT = /^[0-9a-f]{40}$/;
/** What git allows of it: revisions become paths in the cache. */
const REVISION = /^\w[\w-]*([./]\w[\w-]*)*$/;
const SHA256 = /^[0-9a-f]{64}$/;

export interface FetchOptions extends Pick<DownloadOptions, "fetch" | "signal" | "retryMs"> {
  /** Branch, tag or commit; the manifest's unless told. */
  readonly revision?: string;
  /** The hub's shared cache unless told: HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub. */
  readonly cacheDir?: string;
  /** HF_ENDPOINT or the public hub unless told. */
  readonly endpoint?: string;
  readonly onProgress?: (file: string, done: number, total: number) => void;
}

export interface FetchedModel {
  readonly name: string;
  readonly repo: string;
  readonly commit: string;
  /** The folder that holds the files, in the Hugging Face layout. */
  readonly folder: string;
  readonly files: readonly { readonly file: string; readonly bytes: number; readonly cached: boolean }[];
  /** Whether the hub could not be asked and the cache answered alone. */
  readonly offline: boolean;
}

/** A repository in the cache: blobs by checksum, snapshots of links to them, branches in refs. */
interface Repository {
  readonly model: HubModel;
  readonly revision: string;
  readonly root: string;
}

interface RemoteFile {
  readonly path: string;
  readonly size: number;
  readonly checksum: Download["checksum"];
}

/**
 * Makes a model of the manifest available in the hub's shared cache and returns its folder. Files that are there already
 * (from Python, too) are not transferred again; downloads resume and are verified. Without a connection, or with
 * HF_HUB_OFFLINE=1, a complete snapshot in the cache is used.
 * @throws ClipCapError `bad-usage`, `not-found`, `missing-package`, `network`, `io`, `aborted`
 */
export async function fetchModel(name: string, options: FetchOptions = {}): Promise<FetchedModel> {
  const model = await hubModel(name);
  const hub = await loadHub();
  const cache = options.cacheDir ?? hub.getHFHubCachePath();
  const root = join(cache, hub.getRepoFolderName({ type: "model", name: model.repo }));
  const revision = options.revision ?? model.revision;
  if (!REVISION.test(revision))
    throw new ClipCapError("bad-usage", `"${revision}" is no name of a branch, tag or commit.`);
  const repository = { model, revision, root };
  if (process.env.HF_HUB_OFFLINE === "1") return cachedModel(repository, undefined);
  let remote: Awaited<ReturnType<typeof askHub>>;
  try {
    remote = await askHub(repository, options);
  } catch (error) {
    if (!(error instanceof ClipCapError) || error.code !== "network") throw error;
    return cachedModel(repository, error);
  }
  const files: FetchedModel["files"][number][] = [];
  for (const file of remote.files) {
    const cached = await provide(repository, remote.commit, file, options);
    files.push({ file: file.path, bytes: file.size, cached });
  }
  const ref = join(root, "refs", repository.revision);
  await writeAtomically(ref, (sink) => sink.write(Buffer.from(remote.commit)));
  return {
    name,
    repo: model.repo,
    commit: remote.commit,
    folder: snapshot(repository, remote.commit),
    files,
    offline: false,
  };
}

const snapshot = ({ root }: Repository, commit: string): string => join(root, "snapshots", commit);

async function loadHub() {
  try {
    return await import("@huggingface/hub");
  } catch (cause) {
    const message = "fetching models needs the package @huggingface/hub; run: npm install @huggingface/hub";
    throw new ClipCapError("missing-package", message, { cause });
  }
}

/** The commit of the revision and the files that are needed, with sizes and checksums. */
async function askHub(repository: Repository, options: FetchOptions): Promise<{ commit: string; files: RemoteFile[] }> {
  const { model, revision } = repository;
  const hub = await loadHub();
  const { signal } = options;
  const send: typeof fetch = (input, init) => (options.fetch ?? fetch)(input, { ...init, signal });
  const common = { hubUrl: endpointOf(options), fetch: send };
  try {
    const { sha: commit } = await hub.modelInfo({ ...common, name: model.repo, revision, additionalFields: ["sha"] });
    if (typeof commit !== "string" || !COMMIT.test(commit)) throw strange(model, "commit", commit);
    const paths = [...model.files, ...model.weights];
    const found = await hub.pathsInfo({
      ...common,
      repo: { type: "model", name: model.repo },
      revision: commit,
      paths,
    });
    const byPath = new Map(found.map((info) => [info.path, info]));
    const weights = model.weights.find((path) => byPath.has(path)) ?? model.weights[0]!;
    const files = [...model.files, weights].map((path) => remoteFile(repository, path, byPath.get(path)));
    return { commit, files };
  } catch (cause) {
    throw hubError(repository, endpointOf(options), cause, signal);
  }
}

function endpointOf(options: FetchOptions): string {
  const endpoint = options.endpoint ?? process.env.HF_ENDPOINT ?? "https://huggingface.co";
  if (URL.canParse(endpoint) && /^https?:/.test(endpoint)) return endpoint.replace(/\/+$/, "");
  const what = `the hub's address is ${JSON.stringify(endpoint)}; it must begin with https:// or http://`;
  throw new ClipCapError("bad-usage", what);
}

const strange = (model: HubModel, what: string, value: unknown): ClipCapError =>
  new ClipCapError(
    "network",
    `The hub's answer for ${model.repo} has the impossible ${what} ${JSON.stringify(value)}.`,
  );

/** Checksums become file names in the cache, so they must be what they say. */
function remoteFile(
  { model, revision }: Repository,
  path: string,
  info: { size: number; oid?: string; lfs?: { oid: string; size: number } } | undefined,
): RemoteFile {
  if (!info) {
    throw new ClipCapError(
      "not-found",
      `${model.repo} has no ${path} in revision ${revision}; try another --revision.`,
    );
  }
  const hex = info.lfs?.oid ?? info.oid ?? "";
  const size = info.lfs?.size ?? info.size;
  if (!(info.lfs ? SHA256 : COMMIT).test(hex)) throw strange(model, `checksum of ${path}`, hex);
  if (!Number.isSafeInteger(size) || size < 0) throw strange(model, `size of ${path}`, size);
  return { path, size, checksum: { kind: info.lfs ? "sha256" : "git-sha1", hex } };
}

function hubError({ model, revision }: Repository, endpoint: string, cause: unknown, signal?: AbortSignal): Error {
  if (cause instanceof ClipCapError) return cause;
  if (signal?.aborted) return new ClipCapError("aborted", `Fetching ${model.name} was cancelled.`, { cause });
  const status = (cause as { statusCode?: number }).statusCode;
  if (status === 404 || status === 401) {
    const what = `${endpoint} has no ${model.repo} with revision ${revision}`;
    return new ClipCapError("not-found", `${what} (status ${status}); check --revision and --endpoint.`, { cause });
  }
  const what = status === undefined ? "could not be reached" : `answered ${status}`;
  return new ClipCapError("network", `${endpoint} ${what}; check the connection and try again.`, { cause });
}

/** Makes one file appear in the snapshot; true when nothing had to be downloaded. */
async function provide(
  repository: Repository,
  commit: string,
  file: RemoteFile,
  options: FetchOptions,
): Promise<boolean> {
  const { model, root } = repository;
  const pointer = join(snapshot(repository, commit), file.path);
  if ((await sizeOf(pointer)) === file.size) return true;
  const blob = join(root, "blobs", file.checksum.hex);
  const cached = (await sizeOf(blob)) === file.size;
  if (!cached) {
    const url = `${endpointOf(options)}/${model.repo}/resolve/${commit}/${file.path}`;
    const onProgress = (done: number, total: number) => options.onProgress?.(file.path, done, total);
    await download({ ...file, url, path: blob }, { ...options, onProgress });
  }
  await link(blob, pointer);
  return cached;
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (found) => found.size,
    () => undefined,
  );
}

/** A relative link, as in Python's cache; a copy where the system allows no links (Windows without developer mode). */
async function link(blob: string, pointer: string): Promise<void> {
  try {
    await mkdir(dirname(pointer), { recursive: true });
    await rm(pointer, { force: true }); // a link to another blob must not be written through
    await symlink(relative(dirname(pointer), blob), pointer).catch(async (cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EPERM") throw cause;
      await copyFile(blob, pointer);
    });
  } catch (cause) {
    throw fileError(pointer, cause);
  }
}

/** The snapshot that the cache holds of the revision; throws `reason` (or "not-found") when it is not complete. */
async function cachedModel(repository: Repository, reason: ClipCapError | undefined): Promise<FetchedModel> {
  const { model, revision, root } = repository;
  const ref = await readFile(join(root, "refs", revision), "utf8").catch(() => "");
  const commit = COMMIT.test(revision) ? revision : ref.trim();
  const sizes = async (paths: readonly string[]) => {
    const folder = snapshot(repository, commit);
    return Promise.all(paths.map(async (file) => ({ file, bytes: await sizeOf(join(folder, file)), cached: true })));
  };
  const present = <T extends { bytes: number | undefined }>(file: T): file is T & { bytes: number } =>
    file.bytes !== undefined;
  if (COMMIT.test(commit)) {
    const files = (await sizes(model.files)).filter(present);
    const weights = (await sizes(model.weights)).find(present);
    if (files.length === model.files.length && weights) {
      const folder = snapshot(repository, commit);
      return { name: model.name, repo: model.repo, commit, folder, files: [...files, weights], offline: true };
    }
  }
  throw (
    reason ??
    new ClipCapError("not-found", `${model.name} is not complete in ${root}, and HF_HUB_OFFLINE forbids fetching it.`)
  );
}
