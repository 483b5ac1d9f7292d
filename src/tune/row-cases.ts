import { input, squaredError, values } from "../bench/cases/case.js";
import { topError } from "../bench/cases/decode.js";
import { rowTop, TOP_VARIANTS, topCandidates, topClass } from "../kernels/decode/top.js";
import { layerNorm, layerNormClass } from "../kernels/layernorm/layernorm.js";
import { layerNormRef } from "../kernels/layernorm/layernorm.ref.js";
import { rowGroupCandidates, rowGroupName } from "../kernels/rowgroup.js";
import type { Device } from "../runtime/device.js";
import type { Program } from "../runtime/program.js";
import type { TuneCase } from "./case.js";

/** Layer norm of pictures at the widths of the shipped model and of GPT-2 small; candidates of one row and of beams. */
export function* rowCases(device: Device): Generator<TuneCase> {
  for (const columns of [256, 768]) yield layerNormCase(device, 50, columns);
  yield topCase(device, 1, 1);
  yield topCase(device, 5, 8);
}

function layerNormCase(device: Device, rows: number, columns: number): TuneCase {
  const [x, weight, bias] = [values("x", rows * columns), values("weight", columns), values("bias", columns)];
  return {
    of: layerNormClass(columns),
    shape: `${rows} x ${columns}`,
    variants: rowGroupCandidates(device).map((variant) => ({
      name: rowGroupName(variant),
      record: (p) => {
        const [w, b] = [input(p, "weight", [columns], weight), input(p, "bias", [columns], bias)];
        return layerNorm(p, input(p, "x", [rows, columns], x), w, b, { eps: 1e-5, label: "norm", variant });
      },
    })),
    error: (out) => squaredError(out, layerNormRef(x, weight, bias, 1e-5)),
  };
}

function topCase(device: Device, rows: number, k: number): TuneCase {
  const vocabulary = 50_257;
  const logits = values("logits", rows * vocabulary).map((x) => 8 * x);
  const record = (p: Program, name: keyof typeof TOP_VARIANTS) =>
    rowTop(p, input(p, "logits", [rows, vocabulary], logits), k, { label: "top", variant: TOP_VARIANTS[name] });
  return {
    of: topClass(k),
    shape: `${rows} x ${vocabulary}, top ${k}`,
    variants: topCandidates(device).map((name) => ({ name, record: (p) => record(p, name).tensor })),
    error: (out) => topError(out as Uint32Array, logits, rows, k),
  };
}
