import { readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { htmlPage, pageScript } from "../../pages/node-page.js";
import { plotLibrary } from "../../pages/node-plot.js";
import { SERIES_STYLE } from "../../pages/series.js";
import { ClipCapError } from "../../runtime/errors.js";
import { fileError, writeAtomically } from "../../weights/node-source.js";
import { reportBody } from "./body.js";
import { type Chart, type Columns, chartsOf, columnsOf, pointsOf } from "./charts.js";
import { type PictureSamples, parseMetrics, parseSamples, type RunEvent } from "./run.js";
import { STYLE } from "./style.js";
import { type Run, type RunSummary, summarise } from "./summary.js";

/** What the page's script reads. */
export interface ReportData {
  readonly charts: readonly Chart[];
  readonly runs: readonly {
    readonly name: string;
    readonly train: Columns;
    readonly dev: Columns;
    readonly events: readonly RunEvent[];
  }[];
}

/** More curves in one chart cannot be told apart; there are eight colours. */
const MAX_RUNS = 8;
/** A record of 250 bytes at each of a million steps, which is more than any run here can last. */
const MAX_FILE_BYTES = 256 * 2 ** 20;
/** All thumbnails of a page together, before base64. */
const MAX_THUMBNAIL_BYTES = 192 * 2 ** 10;
const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/**
 * Writes a page about one or several training runs: curves, captions over time, numbers, configuration. It is one file
 * that needs no network. A run may be under way. Returns what the page's table of runs says.
 * @param runFolders folders with metrics.jsonl, config.json, samples.jsonl, of which one may be missing
 */
export async function writeReport(runFolders: readonly string[], outFile: string): Promise<RunSummary[]> {
  if (runFolders.length === 0 || runFolders.length > MAX_RUNS) {
    throw new ClipCapError("bad-usage", `A report shows 1 to ${MAX_RUNS} runs, and ${runFolders.length} were given.`);
  }
  const page = reportPage(await readRuns(runFolders));
  await writeAtomically(outFile, (sink) => sink.write(Buffer.from(page.html)));
  return page.summaries;
}

function reportPage(runs: readonly Run[]): { readonly html: string; readonly summaries: RunSummary[] } {
  const charts = chartsOf(runs);
  const { script, style } = plotLibrary();
  const data: ReportData = {
    charts,
    runs: runs.map(({ name, train, dev, events }) => ({
      name,
      train: columnsOf(train, pointsOf(runs.length)),
      dev: columnsOf(dev, pointsOf(runs.length)),
      events,
    })),
  };
  const html = htmlPage({
    title: `${runs.map(({ name }) => name).join(", ")} – training report`,
    style: style + SERIES_STYLE + STYLE,
    body: reportBody(runs, charts),
    scripts: [script, pageScript("./report.client.js", import.meta.url)],
    data,
  });
  return { html, summaries: runs.map(summarise) };
}

/** Runs are named after their folders; by their whole paths where that would name two alike. */
async function readRuns(folders: readonly string[]): Promise<Run[]> {
  const names = folders.map((folder) => basename(resolve(folder)));
  const name = new Set(names).size === names.length ? (i: number) => names[i]! : (i: number) => folders[i]!;
  return Promise.all(folders.map((folder, i) => readRun(folder, name(i), MAX_THUMBNAIL_BYTES / folders.length)));
}

async function readRun(folder: string, name: string, thumbnailBytes: number): Promise<Run> {
  const [metrics, config, samples] = await Promise.all(
    ["metrics.jsonl", "config.json", "samples.jsonl"].map((file) => readIfThere(join(folder, file))),
  );
  if (metrics === undefined && config === undefined) {
    const message = `${folder} is no training run: it has neither metrics.jsonl nor config.json; name the folder that clipcap train wrote.`;
    throw new ClipCapError("not-found", message);
  }
  const pictures = parseSamples(samples ?? "");
  return {
    name,
    folder,
    ...parseMetrics(metrics ?? ""),
    config: parsed(config),
    pictures,
    thumbnails: await readThumbnails(folder, pictures, thumbnailBytes),
  };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) {
      throw new ClipCapError("bad-input", `${path} has ${size} bytes; a report reads at most ${MAX_FILE_BYTES}.`);
    }
    return await readFile(path, "utf8");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw fileError(path, cause);
  }
}

function parsed(json: string | undefined): unknown {
  try {
    return JSON.parse(json ?? "");
  } catch {
    return undefined;
  }
}

/** As data URIs, until `budget` bytes are used up; what is no PNG or missing has none. */
async function readThumbnails(
  folder: string,
  pictures: readonly PictureSamples[],
  budget: number,
): Promise<Map<string, string>> {
  const thumbnails = new Map<string, string>();
  let left = budget;
  for (const { id, picture } of pictures) {
    if (picture === undefined) continue;
    const path = join(folder, picture);
    const info = await stat(path).catch(() => undefined);
    if (!info?.isFile() || info.size > left) continue;
    const png = await readFile(path);
    if (!png.subarray(0, PNG_SIGNATURE.length).equals(PNG_SIGNATURE)) continue;
    thumbnails.set(id, `data:image/png;base64,${png.toString("base64")}`);
    left -= png.length;
  }
  return thumbnails;
}
