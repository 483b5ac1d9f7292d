import type { Command } from "commander";
import type { NodeDeviceOptions } from "../node/dawn.js";
import type { Device } from "../runtime/device.js";
import { type Phase, Trace, type TraceData, untraced } from "../runtime/trace.js";
import { traceEvents } from "../runtime/trace-events.js";
import { checkWritable, writeAtomically } from "../weights/node-source.js";
import type { Screen } from "./screen.js";

export interface TraceOptions {
  readonly trace?: string;
}

/** What `--trace` adds to a command; nothing without it. */
export interface Tracing {
  /** How the device must be opened. */
  readonly device: Pick<NodeDeviceOptions, "timestamps">;
  readonly phase: Phase;
  attach(device: Device): Promise<void>;
  /** Writes the file. The device must be open still. */
  write(screen: Screen): Promise<void>;
}

export const NO_TRACING: Tracing = { device: {}, phase: untraced, attach: async () => {}, write: async () => {} };

export function withTraceOption(command: Command): Command {
  return command.option("--trace <file>", "write when every kernel ran and how long it took (docs/tracing.md)");
}

/** @throws ClipCapError `io` when the file cannot be written. */
export async function openTracing({ trace: file }: TraceOptions): Promise<Tracing> {
  if (file === undefined) return NO_TRACING;
  await checkWritable(file);
  const trace = new Trace();
  let adapter = "";
  return {
    device: { timestamps: true },
    phase: trace.phase,
    attach(device) {
      adapter = device.adapter.description;
      return trace.attach(device);
    },
    async write(screen) {
      const data = await trace.finish();
      await writeTrace(file, data, adapter);
      if (data.full) screen.note(`${file} holds the beginning of the run; what came later would make it too long`);
      screen.note(`wrote ${file}; ui.perfetto.dev opens it`);
    },
  };
}

/** Events that are written at once. */
const CHUNK = 1000;

async function writeTrace(file: string, trace: TraceData, adapter: string): Promise<void> {
  const about = { adapter, clock: trace.clock, complete: !trace.full };
  await writeAtomically(file, async (sink) => {
    let lines: string[] = [];
    let separator = `{"otherData":${JSON.stringify(about)},"displayTimeUnit":"ms","traceEvents":[\n`;
    const flush = async () => {
      if (lines.length > 0) await sink.write(Buffer.from(separator + lines.join(",\n")));
      separator = ",\n";
      lines = [];
    };
    for (const event of traceEvents(trace)) {
      if (lines.push(JSON.stringify(event)) === CHUNK) await flush();
    }
    await flush();
    await sink.write(Buffer.from("\n]}\n"));
  });
}
