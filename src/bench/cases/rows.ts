import { embedding } from "../../kernels/embedding/embedding.js";
import { embeddingBackwardRef, embeddingRef } from "../../kernels/embedding/embedding.ref.js";
import { assembleTokens, patches } from "../../kernels/patch/patch.js";
import {
  assembleTokensBackwardRef,
  assembleTokensRef,
  patchesBackwardRef,
  patchesRef,
} from "../../kernels/patch/patch.ref.js";
import {
  add,
  addPositions,
  concatRows,
  gatherRows,
  repeatRows,
  sliceColumns,
  sliceRows,
} from "../../kernels/rows/rows.js";
import {
  addPositionsBackwardRef,
  addPositionsRef,
  concatRowsBackwardRef,
  concatRowsRef,
  pickRowsBackwardRef,
  pickRowsRef,
  sliced,
  strided,
} from "../../kernels/rows/rows.ref.js";
import {
  bothWays,
  forwardCase,
  input,
  integers,
  type KernelCase,
  named,
  type Operation,
  squaredError,
  values,
} from "./case.js";
import { CLIP, GPT2, MAPPER, TRAINING } from "./shapes.js";

/** Lookups, pixels into patches, and rows that are copied, joined and added. There is one variant of each. */
export function rowCases(): KernelCase[] {
  const { batch: B, tokens: T, rows } = TRAINING;
  return [
    forwardCase(embeddingOf(5)),
    ...bothWays(embeddingOf(rows)),
    forwardCase(patchesOf(1)),
    ...bothWays(patchesOf(8)),
    forwardCase(tokensOf(1)),
    ...bothWays(tokensOf(8)),
    ...bothWays(gatherOf(B, T)),
    ...bothWays(sliceOf(B, MAPPER.tokens)),
    ...bothWays(concatOf(B, 10, T - 10, false)),
    ...bothWays(concatOf(B, 10, 10, true)),
    ...bothWays(repeatOf(5, 10)),
    ...bothWays(positionsOf(B, T)),
    ...bothWays(addOf(rows)),
    columnsOf(rows),
  ];
}

const C = GPT2.width;
const only = { variant: "only", chosen: true } as const;

/** The backward adds rows of dy to the rows of a table whose gradient it clears before. */
function embeddingOf(count: number): Operation {
  const ids = () => integers("ids", count, GPT2.vocabulary);
  return {
    ...only,
    kernel: "embedding",
    shape: `${count} of ${GPT2.vocabulary} x ${C}`,
    inputs: () => [named("table", [GPT2.vocabulary, C], 0.1)],
    record: (p, [table]) => embedding(p, input(p, "ids", [count], ids()), table!, { label: "embedding" }),
    expected: ([table]) => embeddingRef(ids(), table!, C),
    gradients: (dy) => [embeddingBackwardRef(ids(), dy, GPT2.vocabulary, C)],
    bytes: 2 * 4 * count * C,
    backwardBytes: 4 * C * (GPT2.vocabulary + 3 * count),
  };
}

function patchesOf(batch: number): Operation {
  const { image: size, patch } = CLIP;
  return {
    ...only,
    kernel: "patch.rows",
    shape: `${batch} x 3 x ${size} x ${size}, patch ${patch}`,
    inputs: () => [named("pixels", [batch, 3, size, size])],
    record: (p, [pixels]) => patches(p, pixels!, { channels: 3, size, patch, label: "patches" }),
    expected: ([pixels]) => patchesRef(pixels!, batch, 3, size, patch),
    gradients: (dy) => [patchesBackwardRef(dy, batch, 3, size, patch)],
  };
}

function tokensOf(batch: number): Operation {
  const n = CLIP.tokens - 1;
  return {
    ...only,
    kernel: "patch.tokens",
    shape: `${batch} x ${CLIP.tokens} x ${C}`,
    inputs: () => [named("patches", [batch * n, C]), named("class", [C]), named("positions", [CLIP.tokens, C])],
    record: (p, [x, cls, positions]) => assembleTokens(p, x!, cls!, positions!, { label: "tokens" }),
    expected: ([x, cls, positions]) => assembleTokensRef(x!, cls!, positions!, batch),
    gradients: (dy) => {
      const { dpatches, dcls, dpositions } = assembleTokensBackwardRef(dy, C, CLIP.tokens);
      return [dpatches, dcls, dpositions];
    },
  };
}

/** The last token of every sequence. */
function gatherOf(batch: number, tokens: number): Operation {
  const index = strided(tokens - 1, tokens, batch);
  return {
    ...only,
    kernel: "rows.gather",
    shape: `${batch} of ${batch * tokens} x ${C}`,
    inputs: () => [named("x", [batch * tokens, C])],
    record: (p, [x]) => gatherRows(p, x!, { start: tokens - 1, stride: tokens, count: batch, label: "gather" }),
    expected: ([x]) => pickRowsRef(x!, C, index),
    gradients: (dy) => [pickRowsBackwardRef(dy, C, index, batch * tokens)],
    bytes: 2 * 4 * batch * C,
  };
}

/** The transformer mapper's prefix: the second half of each sequence. */
function sliceOf(batch: number, tokens: number): Operation {
  const index = sliced(batch, tokens, tokens / 2, tokens);
  return {
    ...only,
    kernel: "rows.slice",
    shape: `${batch} x ${tokens / 2} of ${tokens} x ${C}`,
    inputs: () => [named("x", [batch * tokens, C])],
    record: (p, [x]) => sliceRows(p, x!, { batch, from: tokens / 2, to: tokens, label: "slice" }),
    expected: ([x]) => pickRowsRef(x!, C, index),
    gradients: (dy) => [pickRowsBackwardRef(dy, C, index, batch * tokens)],
    bytes: 2 * 4 * index.length * C,
  };
}

function concatOf(batch: number, a: number, b: number, shared: boolean): Operation {
  const rowsB = shared ? b : batch * b;
  return {
    ...only,
    kernel: "rows.concat",
    shape: `${batch} x (${a} + ${b}${shared ? " shared" : ""}) x ${C}`,
    inputs: () => [named("a", [batch * a, C]), named("b", [rowsB, C])],
    record: (p, [x, y]) => concatRows(p, x!, y!, { batch, shared, label: "concat" }),
    expected: ([x, y]) => concatRowsRef(x!, y!, batch, shared),
    gradients: (dy) => {
      const { da, db } = concatRowsBackwardRef(dy, batch * a * C, rowsB * C, batch, shared);
      return [da, db];
    },
  };
}

/** A prefix for every beam. */
function repeatOf(times: number, rows: number): Operation {
  const index = Array.from({ length: times * rows }, (_, i) => i % rows);
  return {
    ...only,
    kernel: "rows.repeat",
    shape: `${times} x ${rows} x ${C}`,
    inputs: () => [named("x", [rows, C])],
    record: (p, [x]) => repeatRows(p, x!, times, { label: "repeat" }),
    expected: ([x]) => pickRowsRef(x!, C, index),
    gradients: (dy) => [pickRowsBackwardRef(dy, C, index, rows)],
  };
}

function positionsOf(batch: number, tokens: number): Operation {
  return {
    ...only,
    kernel: "rows.positions",
    shape: `${batch} x ${tokens} x ${C}`,
    inputs: () => [named("x", [batch * tokens, C]), named("table", [1024, C])],
    record: (p, [x, table]) => addPositions(p, x!, table!, { start: 0, period: tokens, label: "positions" }),
    expected: ([x, table]) => addPositionsRef(x!, table!, C, 0, tokens),
    gradients: (dy) => [dy, addPositionsBackwardRef(dy, 1024, C, 0, tokens)],
    bytes: 4 * C * (2 * batch * tokens + tokens),
  };
}

function addOf(rows: number): Operation {
  return {
    ...only,
    kernel: "rows.add",
    shape: `${rows} x ${C}`,
    inputs: () => [named("a", [rows, C]), named("b", [rows, C])],
    record: (p, [a, b]) => add(p, a!, b!, { label: "sum" }),
    expected: ([a, b]) => a!.map((v, i) => v + b![i]!),
    gradients: (dy) => [dy, dy],
  };
}

/** A part of a gradient's columns, where a weight is split. */
function columnsOf(rows: number): KernelCase {
  const [from, to] = [C, 2 * C];
  return {
    ...only,
    kernel: "rows.columns",
    shape: `${rows} x ${to - from} of ${3 * C}`,
    dtype: "f32",
    record: (p) => {
      const x = values("x", rows * 3 * C);
      const y = sliceColumns(p, input(p, "x", [rows, 3 * C], x), { from, to, label: "columns" });
      const expected = () => x.filter((_, i) => i % (3 * C) >= from && i % (3 * C) < to);
      return { outputs: [y], error: ([got]) => squaredError(got!, expected()), bytes: 2 * 4 * rows * (to - from) };
    },
  };
}
