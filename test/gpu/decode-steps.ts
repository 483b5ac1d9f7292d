import { EMPTY_ROW, type RowRef } from "../../src/kernels/decode/decode.ref.js";
import { type PenaltyOptions, penalise } from "../../src/kernels/decode/penalise.js";
import {
  createDecodeState,
  type DecodeShape,
  type DecodeState,
  freeDecodeState,
} from "../../src/kernels/decode/state.js";
import type { Device } from "../../src/runtime/device.js";
import { Program, type Scalar } from "../../src/runtime/program.js";
import type { Tensor } from "../../src/runtime/tensor.js";

/** The state as read back after a step. */
export interface Snapshot {
  readonly rows: readonly RowRef[];
  readonly next: readonly number[];
  readonly ancestry: Uint32Array;
  readonly remaining: number;
  /** The tensors of `extra`, in order. */
  readonly extra: readonly (Float32Array | Uint32Array)[];
}

export type RecordSteps = (p: Program, logits: Tensor, state: DecodeState, step: Scalar, position: Scalar) => void;

/** Decoding with logits from a script: one program, run once per step with the logits that the test uploads. */
export class Scripted {
  private steps = 0;

  private constructor(
    private readonly program: Program,
    readonly state: DecodeState,
    private readonly logits: Tensor,
    private readonly extra: readonly Tensor[],
  ) {}

  static async create(
    device: Device,
    shape: DecodeShape & { readonly vocab: number },
    record: RecordSteps,
    state: DecodeState = createDecodeState(device, shape),
    extra: readonly Tensor[] = [],
  ): Promise<Scripted> {
    const program = new Program(device, "scripted");
    const logits = program.persistent("logits", [shape.images * shape.width, shape.vocab]);
    record(program, logits, state, program.scalar("step"), program.scalar("position"));
    await program.compile();
    return new Scripted(program, state, logits, extra);
  }

  /** Runs the next step on these logits, one array per row. `position`: where the next token will be cached. */
  async step(
    rows: readonly ArrayLike<number>[],
    scalars: Readonly<{ [name: string]: number }> = {},
  ): Promise<Snapshot> {
    const { state, logits, program } = this;
    const data = new Float32Array(logits.size);
    rows.forEach((row, i) => {
      data.set(Array.from(row), i * logits.shape[1]!);
    });
    program.device.write(logits, data);
    const { tokens, length, score, stopped, next, ancestry, remaining } = state;
    const reads = [tokens, length, score, stopped, next, ancestry, remaining, ...this.extra];
    const got = await program.run({ step: this.steps++, ...scalars }, reads).get();
    return {
      rows: rowsOf(state, this.steps, got as [Uint32Array, Uint32Array, Float32Array, Uint32Array]),
      next: Array.from(got[4]!),
      ancestry: got[5] as Uint32Array,
      remaining: got[6]![0]!,
      extra: got.slice(7),
    };
  }

  destroy(): void {
    this.program.destroy();
  }
}

function rowsOf(
  { next, maxTokens }: DecodeState,
  steps: number,
  [tokens, length, score, stopped]: readonly [Uint32Array, Uint32Array, Float32Array, Uint32Array],
): RowRef[] {
  return Array.from({ length: next.rows }, (_, r) => ({
    tokens: Array.from(tokens.subarray(r * maxTokens, r * maxTokens + steps)),
    length: length[r]!,
    score: score[r]!,
    stopped: stopped[r] === 1,
  }));
}

export function emptyRows(count: number): RowRef[] {
  return Array.from({ length: count }, () => EMPTY_ROW);
}

/** The row of a scripted table [steps, V, V] for this history: table[step][last token, or 0 at the start]. */
export function tableRow(table: Float32Array, vocab: number, tokens: readonly number[]): Float32Array {
  const at = (tokens.length * vocab + (tokens.at(-1) ?? 0)) * vocab;
  return table.subarray(at, at + vocab);
}

/** The contents of persistent tensors. */
export function readAll(device: Device, tensors: readonly Tensor[]): Promise<(Float32Array | Uint32Array)[]> {
  return Promise.all(
    tensors.map(async (t) => {
      const bytes = await device.read(t);
      return t.dtype === "f32" ? new Float32Array(bytes) : new Uint32Array(bytes);
    }),
  );
}

/** `penalise` on these logits after `histories`, one list of tokens per row. */
export async function penalisedOnGpu(
  device: Device,
  logits: Float32Array,
  histories: readonly (readonly number[])[],
  options: Omit<PenaltyOptions, "label">,
): Promise<Float32Array> {
  const rows = histories.length;
  const maxTokens = Math.max(1, histories[0]!.length);
  const state = createDecodeState(device, { images: rows, width: 1, maxTokens, capacity: 1 });
  device.write(state.tokens, Uint32Array.from(histories.flat()));
  const p = new Program(device, "penalise");
  const x = p.persistent("logits", [rows, logits.length / rows]);
  device.write(x, logits);
  penalise(p, x, state, { label: "penalise", ...options });
  await p.compile();
  const got = await p.run({}, [x]).f32();
  p.destroy();
  freeDecodeState(device, state);
  return got;
}
