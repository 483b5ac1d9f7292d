import { contrastiveLoss } from "../../kernels/contrastive/contrastive.js";
import { contrastiveBackwardRef, contrastiveRef } from "../../kernels/contrastive/contrastive.ref.js";
import { crossEntropy, crossEntropyOfLogits } from "../../kernels/crossentropy/crossentropy.js";
import { crossEntropyBackwardRef, crossEntropyRef } from "../../kernels/crossentropy/crossentropy.ref.js";
import { chooseRowGroup, type RowGroup, rowGroupName, runnableRowGroups } from "../../kernels/rowgroup.js";
import type { Device } from "../../runtime/device.js";
import type { Program } from "../../runtime/program.js";
import {
  bothWays,
  gradientOf,
  input,
  integers,
  type KernelCase,
  leaf,
  named,
  type Operation,
  type Recorded,
  recordBackward,
  squaredError,
  type Values,
  values,
  variantsOf,
} from "./case.js";
import { CLIP, GPT2, TRAINING } from "./shapes.js";

export function lossCases(device: Device): KernelCase[] {
  const groups = variantsOf(runnableRowGroups(device), chooseRowGroup(device), rowGroupName);
  // A whole batch takes 221 GFLOP backward, which is 7 s a run at the 30 GFLOP/s of a CPU adapter.
  const rows = device.adapter.isCpu ? 120 : TRAINING.rows;
  const chosen = groups.filter((g) => g.chosen);
  return [
    ...chosen.flatMap(({ variant, name }) =>
      (["forward", "backward", "backward, head too"] as const).map((pass) => vocabularyCase(rows, pass, variant, name)),
    ),
    ...groups.flatMap((g) => bothWays(ofLogits(5, g.variant, g.name, g.chosen))),
    ...bothWays(contrastive(TRAINING.batch)),
  ];
}

const V = GPT2.vocabulary;
const C = GPT2.width;

type Pass = "forward" | "backward" | "backward, head too";

/** Cross-entropy over GPT-2's vocabulary, with the products that make the logits. */
function vocabularyCase(rows: number, pass: Pass, variant: RowGroup, name: string): KernelCase {
  return {
    kernel: pass === "forward" ? "crossentropy" : "crossentropy.backward",
    variant: name,
    shape: `${rows} x ${C} x ${V}${pass === "backward, head too" ? ", head too" : ""}`,
    dtype: "f32",
    chosen: true,
    record: (p) => recordVocabulary(p, rows, pass, variant),
  };
}

function recordVocabulary(p: Program, rows: number, pass: Pass, variant: RowGroup): Recorded {
  const data: LossData = {
    x: values("x", rows * C),
    head: values("head", V * C, 0.2),
    targets: integers("targets", rows, V),
  };
  const x = (pass === "forward" ? input : leaf)(p, "x", [rows, C], data.x);
  const head = (pass === "backward, head too" ? leaf : input)(p, "head", [V, C], data.head);
  const targets = input(p, "targets", [rows], data.targets);
  const { loss, perRow } = crossEntropy(p, x, head, targets, { label: "loss", variant });
  if (pass === "forward") return { outputs: [perRow], error: ([losses]) => lossError(losses!, data) };
  const from = recordBackward(p, loss, Float32Array.of(1));
  const trained = pass === "backward" ? [x] : [x, head];
  return {
    outputs: [perRow, ...trained.map(gradientOf)],
    error: ([losses, dx, dhead]) =>
      Math.max(
        lossError(losses!, data),
        dxError(losses!, dx!, data),
        dhead === undefined ? 0 : dheadError(losses!, dhead, data),
      ),
    from,
    scalars: { accumulate: 0 },
  };
}

interface LossData {
  readonly x: Float32Array;
  readonly head: Float32Array;
  readonly targets: Uint32Array;
}

/** Rows of x, and of the head, that are recomputed in f64: a whole vocabulary for every row would take minutes. */
const SAMPLES = 4;

function logit({ x, head }: LossData, row: number, v: number): number {
  let sum = 0;
  for (let c = 0; c < C; c++) sum += x[row * C + c]! * head[v * C + c]!;
  return sum;
}

function sampledRows(count: number): number[] {
  return Array.from({ length: SAMPLES }, (_, i) => Math.floor((i * (count - 1)) / (SAMPLES - 1)));
}

function lossError(losses: Values, data: LossData): number {
  const rows = sampledRows(losses.length);
  const expected = rows.map((row) => {
    const logits = Float64Array.from({ length: V }, (_, v) => logit(data, row, v));
    return crossEntropyRef(logits, [data.targets[row]!], V)[0]!;
  });
  return squaredError(
    rows.map((row) => losses[row]!),
    expected,
  );
}

/**
 * dloss / dlogit of a row, from its loss, which `lossError` has checked: p = exp(logit - log sum), loss = log sum -
 * logit of the target.
 */
function slope(losses: Values, data: LossData, row: number, v: number): number {
  const target = data.targets[row]!;
  const p = Math.exp(logit(data, row, v) - losses[row]! - logit(data, row, target));
  return (p - (v === target ? 1 : 0)) / losses.length;
}

function dxError(losses: Values, dx: Values, data: LossData): number {
  const errors = sampledRows(losses.length).map((row) => {
    const expected = new Float64Array(C);
    for (let v = 0; v < V; v++) {
      const d = slope(losses, data, row, v);
      for (let c = 0; c < C; c++) expected[c]! += d * data.head[v * C + c]!;
    }
    return squaredError(dx.subarray(row * C, (row + 1) * C), expected);
  });
  return Math.max(...errors);
}

function dheadError(losses: Values, dhead: Values, data: LossData): number {
  const errors = [...sampledRows(V), data.targets[0]!].map((v) => {
    const expected = new Float64Array(C);
    for (let row = 0; row < losses.length; row++) {
      const d = slope(losses, data, row, v);
      for (let c = 0; c < C; c++) expected[c]! += d * data.x[row * C + c]!;
    }
    return squaredError(dhead.subarray(v * C, (v + 1) * C), expected);
  });
  return Math.max(...errors);
}

function ofLogits(rows: number, variant: RowGroup, name: string, chosen: boolean): Operation {
  const targets = () => integers("targets", rows, V);
  return {
    kernel: "crossentropy.logits",
    variant: name,
    shape: `${rows} x ${V}`,
    chosen,
    inputs: () => [named("logits", [rows, V], 5)],
    record: (p, [logits]) => {
      const ids = input(p, "targets", [rows], targets());
      return crossEntropyOfLogits(p, logits!, ids, { label: "loss", variant }).loss;
    },
    expected: ([logits]) => [crossEntropyRef(logits!, targets(), V).reduce((a, b) => a + b, 0) / rows],
    gradients: ([dy], [logits]) => {
      const weights = new Float64Array(rows).fill(dy! / rows);
      return [crossEntropyBackwardRef(logits!, targets(), weights, V)];
    },
  };
}

/** CLIP's loss of a batch of images and texts. */
function contrastive(batch: number): Operation {
  const E = CLIP.projection;
  const scale = Math.log(100);
  return {
    kernel: "contrastive",
    variant: "only",
    shape: `${batch} pairs of ${E}`,
    chosen: true,
    inputs: () => [
      named("images", [batch, E]),
      named("texts", [batch, E]),
      { label: "scale", shape: [1], data: Float32Array.of(scale) },
    ],
    record: (p, [images, texts, s]) => contrastiveLoss(p, images!, texts!, s!, { label: "clip" }),
    expected: ([images, texts]) => [contrastiveRef(images!, texts!, scale, E)],
    gradients: ([dy], [images, texts]) => {
      const { dimages, dtexts, dlogitScale } = contrastiveBackwardRef(images!, texts!, scale, E);
      return [dimages, dtexts, [dlogitScale]].map((g) => Float64Array.from(g, (v) => v * dy!));
    },
  };
}
