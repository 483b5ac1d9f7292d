// The child's side of a comparison: a process per library, since WebGPU libraries all want to own the same globals.
// Requests come as lines of JSON on stdin; answers go to file descriptor 3, because libraries print on stdout.
import { readFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { watchLap, watchLoad } from "../../src/bench/node-timing.js";
import { type Case, COMPARED_STEPS } from "./cases.js";

/** One case, loaded: weights are where the library wants them. */
export interface Prepared {
  /** From the input on the host to the result on the host; of a training step the loss, as one value. */
  readonly call: () => Promise<Float32Array>;
  readonly close: () => Promise<void> | void;
}

export interface Library {
  /** As in the tables, e.g. "tfjs-webgpu 4.22.0". */
  readonly name: string;
  /** @throws Error with the reason when the library cannot compute this case. */
  readonly prepare: (c: Case) => Promise<Prepared>;
}

export type Request =
  | { readonly do: "prepare"; readonly case: Case }
  /** Calls until `ms` have passed, at least once. */
  | { readonly do: "sample"; readonly ms: number };

/** Times per call, in ms. */
export interface Sample {
  readonly wall: number;
  readonly cpu: number;
  /** Cores that other processes kept busy meanwhile. */
  readonly otherLoad: number;
}

export type Answer =
  | { readonly type: "opened"; readonly name: string }
  | { readonly type: "prepared"; readonly firstMs: number; readonly values: string }
  | ({ readonly type: "sample" } & Sample)
  | { readonly type: "failed"; readonly reason: string };

/** Opens the library and answers requests until stdin ends. */
export async function serve(open: () => Promise<Library>): Promise<void> {
  const answer = (a: Answer) => writeSync(3, `${JSON.stringify(a)}\n`);
  const failed = (error: unknown) => answer({ type: "failed", reason: reasonOf(error) });
  let prepared: Prepared | undefined;
  const handle = async (library: Library, request: Request): Promise<Answer> => {
    if (request.do === "sample") return { type: "sample", ...(await sample(prepared!, request.ms)) };
    await prepared?.close();
    prepared = undefined;
    prepared = await library.prepare(request.case);
    const start = performance.now();
    const first = await prepared.call();
    const firstMs = performance.now() - start;
    const values = await checkedValues(request.case, first, prepared);
    return { type: "prepared", firstMs, values: Buffer.from(values.buffer).toString("base64") };
  };
  try {
    const library = await open();
    answer({ type: "opened", name: library.name });
    for await (const line of createInterface({ input: process.stdin })) {
      await handle(library, JSON.parse(line)).then(answer, failed);
    }
  } catch (error) {
    failed(error);
  }
  process.exit(0); // Dawn may keep the event loop alive
}

/** What is compared: the result, or the losses of the first training steps. All calls warm up. */
async function checkedValues(c: Case, first: Float32Array, { call }: Prepared): Promise<Float32Array> {
  if (!c.type.endsWith("-step")) {
    await call();
    return Float32Array.from(first); // a copy: some libraries give views of larger buffers
  }
  const losses = [...first];
  while (losses.length < COMPARED_STEPS) losses.push(...(await call()));
  return Float32Array.from(losses);
}

async function sample({ call }: Prepared, ms: number): Promise<Sample> {
  const [lap, load] = [watchLap(), watchLoad()];
  let calls = 0;
  do {
    await call();
    calls++;
  } while (lap().wall < ms);
  const { wall, cpu } = lap();
  return { wall: wall / calls, cpu: cpu / calls, otherLoad: load().otherCores };
}

/** The version that package.json pins: some packages hide their own. */
export function versionOf(name: string): string {
  const text = readFileSync(new URL("package.json", import.meta.url), "utf8");
  const { dependencies } = JSON.parse(text) as { dependencies: Readonly<Record<string, string>> };
  return dependencies[name]!;
}

/** One line that says what went wrong. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0]!.slice(0, 300) || "no message";
}
