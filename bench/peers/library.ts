// What a library is to the comparison, in a process of Node (serve.ts) and in a page (page.ts) alike.
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

export interface Loaded {
  /** The first call, in which drivers compile. */
  readonly firstMs: number;
  /** What is compared: the result, or the losses of the first training steps. */
  readonly values: Float32Array<ArrayBuffer>;
}

/** Calls of one turn, and the ms that all of them took. */
export interface Turn {
  readonly calls: number;
  readonly ms: number;
}

/** A library with the case that it works on. */
export class Session {
  private prepared: Prepared | undefined;

  constructor(private readonly library: Library) {}

  get name(): string {
    return this.library.name;
  }

  /** Loads the case in place of the last one and calls it a few times. */
  async prepare(c: Case): Promise<Loaded> {
    await this.prepared?.close();
    this.prepared = undefined;
    this.prepared = await this.library.prepare(c);
    const { call } = this.prepared;
    const start = performance.now();
    const values = [...(await call())]; // a copy: some libraries give views of larger buffers
    const firstMs = performance.now() - start;
    if (c.type.endsWith("-step")) while (values.length < COMPARED_STEPS) values.push(...(await call()));
    else await call();
    return { firstMs, values: Float32Array.from(values) };
  }

  /** Calls until `ms` have passed, at least once. */
  async turn(ms: number): Promise<Turn> {
    const { call } = this.prepared!;
    const start = performance.now();
    let calls = 0;
    do {
      await call();
      calls++;
    } while (performance.now() - start < ms);
    return { calls, ms: performance.now() - start };
  }
}

/** One line that says what went wrong. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0]!.slice(0, 300) || "no message";
}
