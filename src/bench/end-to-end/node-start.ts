import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { DEFAULT_MODEL } from "../../node/model.js";
import { ClipCapError } from "../../runtime/errors.js";
import { timed } from "../node-timing.js";
import { type Measurement, time } from "./measurement.js";
import { drawnPhoto } from "./node-caption.js";

/** The project's own limits, in ms. */
const LIMIT_MS = { cold: 25_000, warm: 3000 };
const WARM_RUNS = 5;

/**
 * `clipcap caption` from the start of its process to its end: with an empty shader cache, so that the driver compiles
 * everything, and with a filled one. Only Mesa can be told of an empty one; elsewhere the first run is as the driver likes.
 * An abort ends the child at once: one that takes its time would still write into the folder that is removed.
 */
export async function* processStart(which: string, signal: AbortSignal): AsyncGenerator<Measurement> {
  const folder = await mkdtemp(join(tmpdir(), "clipcap-bench-"));
  const removeNow = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", removeNow);
  try {
    const photo = join(folder, "photo.jpg");
    await writeFile(photo, await drawnPhoto());
    const env = { ...process.env, MESA_SHADER_CACHE_DIR: join(folder, "shaders") };
    const command = [...process.execArgv, process.argv[1]!, "caption", photo, "--device", which];
    const started = { env, signal, killSignal: "SIGKILL" } as const;
    const run = () => promisify(execFile)(process.execPath, command, started).catch(failed);
    const subject = { what: "process start to caption", model: `${DEFAULT_MODEL} (shipped weights)` };
    for (const [cache, runs] of [
      ["cold", 1],
      ["warm", WARM_RUNS],
    ] as const) {
      const { cpu_ms, other_load, ...wall } = time(
        { ...subject, how: `${cache} shader cache, greedy`, limit: LIMIT_MS[cache] },
        await timed(run, { warmup: 0, runs }),
      );
      yield wall; // the work is a child's: for this process it would count as other load
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
    process.off("exit", removeNow);
  }
}

function failed(cause: { readonly stderr?: string }): never {
  const said = cause.stderr?.trim().split("\n").at(-1) ?? String(cause);
  throw new ClipCapError("validation", `clipcap caption, whose start is measured, failed: ${said}`, { cause });
}
