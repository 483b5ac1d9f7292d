import type { KvCache } from "../kernels/attention/attention.js";
import { type BeamRule, beamStep } from "../kernels/decode/beam.js";
import { greedyStep } from "../kernels/decode/greedy.js";
import { penalise } from "../kernels/decode/penalise.js";
import { type Decoded, decodeReads, finalOrder } from "../kernels/decode/results.js";
import { sampleStep } from "../kernels/decode/sample.js";
import { createDecodeState, type DecodeState, freeDecodeState, initAncestry } from "../kernels/decode/state.js";
import { embedding } from "../kernels/embedding/embedding.js";
import { addPositions, concatRows, gatherRows } from "../kernels/rows/rows.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { Program, type Scalar } from "../runtime/program.js";
import type { Reading } from "../runtime/reading.js";
import type { Tensor } from "../runtime/tensor.js";
import { type Gpt2, gpt2Decode, gpt2Logits, gpt2Prefill } from "./gpt2.js";

/** How the next token is chosen. */
export type Strategy =
  | { readonly type: "greedy" }
  | { readonly type: "beam"; readonly rule: BeamRule; readonly temperature: number; readonly alpha: number }
  | { readonly type: "sample"; readonly temperature: number; readonly topK: number; readonly topP: number };

/** Everything that a recorded generator is fixed to. */
export interface GeneratorShape {
  readonly images: number;
  /** Rows per image: beams, captions to sample, or 1. */
  readonly width: number;
  /** Token ids that every caption continues, after the prefix. */
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  readonly stop: readonly number[];
  readonly strategy: Strategy;
  readonly repetitionPenalty: number;
  readonly noRepeatNgram: number;
}

export interface GenerateOptions {
  readonly seed: number;
  /** Asked after each step; true ends the run with the error `aborted`. */
  readonly stopped?: () => boolean;
  /** Called after each step with the newest token of every row. */
  readonly onTokens?: (next: Uint32Array, step: number) => void;
  /** Called after each step of beam search with its beams, which are then read back as well. */
  readonly onBeams?: (beams: StepBeams) => void;
}

/** Beams after a step, all [images*width]; see `DecodeState`. */
export interface StepBeams {
  /** The row that each continues. */
  readonly source: Uint32Array;
  readonly next: Uint32Array;
  readonly score: Float32Array;
  readonly length: Uint32Array;
  readonly stopped: Uint32Array;
}

/**
 * Steps that are queued before the oldest one's tokens are read. With two, the GPU always has the next step to work on
 * while the host looks at the last one; a third would only be wasted work after the end.
 */
const STEPS_IN_FLIGHT = 2;

/**
 * Autoregressive decoding of a batch of images: `start` turns prefixes into the first token, `step` is replayed for
 * each further one. Caches, choices and beam bookkeeping stay on the GPU; a steady step creates nothing.
 */
export class Generator {
  private constructor(
    private readonly device: Device,
    readonly shape: GeneratorShape,
    private readonly start: Program,
    /** One further token of every row; benchmarks replay it. */
    readonly step: Program,
    private readonly results: Program,
    private readonly state: DecodeState,
    /** Tokens before the first generated one: prefix and prompt. */
    private readonly context: number,
  ) {}

  /** `prefixOf` records what makes the prefixes [images*K, C]. Kernels compile here; nothing runs yet. */
  static async create(
    device: Device,
    gpt2: Gpt2,
    prefixLength: number,
    shape: GeneratorShape,
    prefixOf: (p: Program) => Tensor,
  ): Promise<Generator> {
    const { images, width, maxTokens, strategy } = shape;
    const context = prefixLength + shape.prompt.length;
    const capacity = context + maxTokens;
    const withPool = strategy.type === "beam" && strategy.rule === "length-normalised";
    const state = createDecodeState(device, { images, width, maxTokens, capacity, withPool });
    const program = (part: string) => new Program(device, `generate.${part}`, { gradients: false });
    const [start, step, results] = [program("start"), program("step"), program("results")];
    const generator = new Generator(device, shape, start, step, results, state, context);
    try {
      generator.record(gpt2, prefixOf(start));
      await Promise.all([start.compile(), step.compile(), results.compile()]);
      return generator;
    } catch (error) {
      generator.destroy();
      throw error;
    }
  }

  private record(gpt2: Gpt2, prefix: Tensor): void {
    const { shape, start, step, state, context } = this;
    const { images, width } = shape;
    const caches = gpt2.blocks.map((_, i): KvCache => {
      const dims = [images * width, state.capacity, gpt2.config.width];
      const [k, v] = [start.persistent(`k${i}`, dims), start.persistent(`v${i}`, dims)];
      return { k, v, rows: images * width, capacity: state.capacity };
    });
    const x = withPrompt(start, gpt2, prefix, shape, context); // [images*T, C]
    const hidden = gpt2Prefill(start, gpt2, x, { batch: images, tokens: context, caches, rowStride: width });
    const last = { start: context - 1, stride: context, count: images, label: "gpt2.last_rows" };
    const logits = gpt2Logits(start, gpt2, gatherRows(start, hidden.at(-1)!, last)); // [images, V]
    initAncestry(start, state, { prefix: context, label: "generate.ancestry" });
    choose(start, logits, state, shape, { step: 0, position: context, seed: start.scalar("seed") });

    const [position, keys] = [step.scalar("position"), step.scalar("keys")];
    const next = gpt2Decode(step, gpt2, state.next, caches, state.ancestry, { position, keys });
    choose(step, next, state, shape, { step: step.scalar("step"), position: keys, seed: step.scalar("seed") });
  }

  /** Decodes once; the prefix program's inputs must be written before. Returns the captions of every image, best first. */
  async run({ seed, stopped = () => false, onTokens, onBeams }: GenerateOptions): Promise<Decoded[][]> {
    const { state, context } = this;
    const beams = onBeams ? [state.moves, state.score, state.length, state.stopped] : [];
    const reads = [state.next, state.remaining, ...beams];
    const seeded = (p: Program, values: Record<string, number>) =>
      p.run(this.shape.strategy.type === "sample" ? { ...values, seed } : values, reads);
    const inFlight: Reading[] = [seeded(this.start, {})];
    let queued = 1;
    let done = false;
    for (let step = 0; inFlight.length > 0; step++) {
      while (!done && inFlight.length < STEPS_IN_FLIGHT && queued < this.shape.maxTokens) {
        const keys = context + queued;
        inFlight.push(seeded(this.step, { step: queued, position: keys - 1, keys }));
        queued++;
      }
      const values = await inFlight.shift()!.get();
      const [next, remaining] = values as [Uint32Array, Uint32Array];
      if (!done) onTokens?.(next, step);
      if (!done) onBeams?.(stepBeams(values));
      done ||= remaining[0] === 0 || stopped();
    }
    if (stopped()) throw new ClipCapError("aborted", "captioning was stopped");
    const values = await this.results.run({}, decodeReads(state)).get();
    const { strategy } = this.shape;
    return finalOrder(state, values, strategy.type === "beam" ? strategy.alpha : 1);
  }

  destroy(): void {
    for (const p of [this.start, this.step, this.results]) p.destroy();
    freeDecodeState(this.device, this.state);
  }
}

function stepBeams(values: readonly (Float32Array | Uint32Array)[]): StepBeams {
  const [next, , moves, score, length, stopped] = values as [
    ...[next: Uint32Array, remaining: Uint32Array, moves: Uint32Array],
    ...[score: Float32Array, length: Uint32Array, stopped: Uint32Array],
  ];
  return { source: moves.filter((_, i) => i % 4 === 0), next, score, length, stopped };
}

/** Prefix and prompt with positions: [images*T, C], T = K + prompt. GPT-2 numbers the prefix too (docs/facts.md 1). */
function withPrompt(p: Program, gpt2: Gpt2, prefix: Tensor, shape: GeneratorShape, T: number): Tensor {
  let x = prefix;
  if (shape.prompt.length > 0) {
    const ids = p.persistent("prompt", [shape.prompt.length], "u32");
    p.device.write(ids, Uint32Array.from(shape.prompt));
    const text = embedding(p, ids, gpt2.wte, { label: "gpt2.prompt" });
    x = concatRows(p, prefix, text, { batch: shape.images, shared: true, label: "gpt2.input" });
  }
  return addPositions(p, x, gpt2.wpe, { start: 0, period: T, label: "gpt2.positions" });
}

/** From logits to the next token of every row, by the shape's strategy. */
function choose(
  p: Program,
  raw: Tensor,
  state: DecodeState,
  { stop, strategy, repetitionPenalty, noRepeatNgram }: GeneratorShape,
  at: { readonly step: number | Scalar; readonly position: number | Scalar; readonly seed: Scalar },
): void {
  const penalised = repetitionPenalty !== 1 || noRepeatNgram > 0;
  const logits = penalised
    ? penalise(p, raw, state, { repetitionPenalty, noRepeatNgram, step: at.step, label: "generate.penalise" })
    : raw;
  const o = { stop, step: at.step, label: `generate.${strategy.type}` };
  switch (strategy.type) {
    case "greedy":
      greedyStep(p, logits, state, o);
      break;
    case "beam":
      beamStep(p, logits, state, { ...o, ...strategy, position: at.position });
      break;
    case "sample":
      sampleStep(p, logits, state, { ...o, ...strategy, topK: strategy.topK || undefined, seed: at.seed });
  }
}
