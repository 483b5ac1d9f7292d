import { execFile } from "node:child_process";
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
 */
export async function* processStart(which: string): AsyncGenerator<Measurement> {
  const folder = await mkdtemp(join(tmpdir(), "clipcap-bench-"));
  try {
    const photo = join(folder, "photo.jpg");
    await writeFile(photo, await drawnPhoto());
    const env = { ...process.env, MESA_SHADER_CACHE_DIR: join(folder, "shaders") };
    const command = [...process.execArgv, process.argv[1]!, "caption", photo, "--device", which];
    const run = () => promisify(execFile)(process.execPath, command, { env }).catch(failed);
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
  }
}

function failed(cause: { readonly stderr?: string }): never {
  const said = cause.stderr?.trim().split("\n").at(-1) ?? String(cause);
  throw new ClipCapError("validation", `clipcap caption, whose start is measured, failed: ${said}`, { cause });
}
