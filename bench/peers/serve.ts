// A process of Node that serves the library named by its argument: one each, since WebGPU libraries all want to own the same
// globals. Requests come as lines of JSON on stdin; answers go to file descriptor 3, because libraries print on stdout.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { watchLap, watchLoad } from "../../src/bench/node-timing.js";
import { sleepBetweenPolls } from "../../src/node/dawn.js";
import { openDevice } from "../../src/node.js";
import type { Case } from "./cases.js";
import { type Library, reasonOf, Session } from "./library.js";
import { installWebGpu } from "./node-globals.js";
import pins from "./package.json" with { type: "json" };
import type { Sample } from "./peer.js";

export type Request = { readonly do: "prepare"; readonly case: Case } | { readonly do: "sample"; readonly ms: number };

export type Answer =
  | { readonly type: "opened"; readonly name: string }
  /** Values as base64. */
  | { readonly type: "prepared"; readonly firstMs: number; readonly values: string }
  | ({ readonly type: "sample" } & Sample)
  | { readonly type: "failed"; readonly reason: string };

/** Imported when asked for: peers look for WebGPU's globals as they load, and may not be installed. */
const LIBRARIES: Readonly<Record<string, () => Promise<Library>>> = {
  ours: async () => (await import("./ours.js")).open(await openDevice()),
  "ort-webgpu": () => onnxRuntime("webgpu"),
  "ort-cpu": () => onnxRuntime("cpu"),
  tfjs: async () => {
    await installWebGpu();
    return throttled(await (await import("./tfjs.js")).open());
  },
  jax: async () => {
    await installWebGpu();
    return throttled(await (await import("./jaxjs.js")).open());
  },
};

async function onnxRuntime(provider: "webgpu" | "cpu"): Promise<Library> {
  const { open } = await import("./ort.js");
  const name = `onnxruntime ${provider} ${pins.dependencies["onnxruntime-node"]}`;
  return open(await import("onnxruntime-node"), { name, provider, caches: "cpu" });
}

/** Waits as this project does, so that a CPU adapter gets the same cores. */
function throttled({ name, prepare }: Library): Library {
  return {
    name,
    prepare: async (c) => {
      const { call, close } = await prepare(c);
      const waiting = async () => {
        const done = sleepBetweenPolls();
        return call().finally(done);
      };
      return { call: waiting, close };
    },
  };
}

async function sample(session: Session, ms: number): Promise<Sample> {
  const [lap, load] = [watchLap(), watchLoad()];
  const turn = await session.turn(ms);
  return { wall: turn.ms / turn.calls, cpu: lap().cpu / turn.calls, otherLoad: load().otherCores };
}

async function handle(session: Session, request: Request): Promise<Answer> {
  if (request.do === "sample") return { type: "sample", ...(await sample(session, request.ms)) };
  const { firstMs, values } = await session.prepare(request.case);
  return { type: "prepared", firstMs, values: Buffer.from(values.buffer).toString("base64") };
}

const answer = (a: Answer) => writeSync(3, `${JSON.stringify(a)}\n`);
const failed = (error: unknown) => answer({ type: "failed", reason: reasonOf(error) });
try {
  const session = new Session(await LIBRARIES[process.argv[2]!]!());
  answer({ type: "opened", name: session.name });
  for await (const line of createInterface({ input: process.stdin })) {
    await handle(session, JSON.parse(line)).then(answer, failed);
  }
} catch (error) {
  failed(error);
}
process.exit(0); // Dawn may keep the event loop alive
